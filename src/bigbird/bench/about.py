"""What a result says of the machine and the code that made it."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from bigbird import machine
from bigbird.attention import native_cpu

_PACKAGES = ("torch", "triton", "transformers", "numpy")
_CAPABILITIES = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


def about() -> dict[str, object]:
    """Hardware, versions, commit and date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "bigbird": metadata.version("bigbird"),
        "python": platform.python_version(),
        **{name: version for name in _PACKAGES if (version := _version(name))},
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "native": native_cpu.instruction_set(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _commit() -> str | None:
    """Of the checkout this runs from; None when it is an installed package."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return None
    return found.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    fields = machine.processor()
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    flags = set(fields.get("flags", "").split())
    known = " ".join(flag for flag in _CAPABILITIES if flag in flags)
    return f"{fields['model name']}, family {fields.get('cpu family', '?')} ({known})"
