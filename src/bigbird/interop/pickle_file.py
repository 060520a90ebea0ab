"""pytorch_model.bin, a pickle, made safe: read in a process of its own that can do nothing else.

The result is a safetensors file in a folder of the caller's, which is then read with the usual checks. Nothing here
runs unless someone asked for it by name.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from bigbird import machine
from bigbird.checkpoint import WEIGHTS_FILE
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_files import INDEX_FILE, PICKLE_FILE

PICKLE_INDEX_FILE = f"{PICKLE_FILE}.index.json"

_PROGRAM = Path(__file__).with_name("unpickling.py")
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.bin")
_COPIES = 5  # of the file in memory: mapped, tensors of it, tied ones twice, the bytes written
_SPARE_BYTES = 2**30  # of memory, for PyTorch itself
_SECONDS, _SECONDS_PER_GIB = 60, 60
_MOST_LETTERS = 300
_REFUSED, _OUT_OF_MEMORY, _NOT_WRITTEN = 3, 4, 5  # exit codes of the program


def made_safe(folder: Path, target: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """Write the weights of `folder` as safetensors into `target`, an empty folder."""
    if sys.platform == "win32":
        raise ConfigError("reading a pickle needs limits on memory and time, which Windows does not offer; use Linux")
    shards = _files_of(folder)
    for path in shards:
        files.check_place(path)
        say(f"reading {path} in a process of its own")
        _convert(path, target / _safe_name(path.name))
    if (folder / PICKLE_FILE).is_file():
        return
    places = files.read_json(folder / PICKLE_INDEX_FILE)["weight_map"]
    index = {"metadata": {}, "weight_map": {name: _safe_name(file) for name, file in places.items()}}
    (target / INDEX_FILE).write_text(json.dumps(index))


def _safe_name(name: str) -> str:
    return WEIGHTS_FILE if name == PICKLE_FILE else f"{name.removesuffix('.bin')}.safetensors"


def _files_of(folder: Path) -> list[Path]:
    safe = next((name for name in (WEIGHTS_FILE, INDEX_FILE) if (folder / name).is_file()), None)
    if safe is not None:
        raise ConfigError(f"{folder} has {safe}, which is safe to read; leave out --from-bin")
    if (folder / PICKLE_FILE).is_file():
        return [folder / PICKLE_FILE]
    index = folder / PICKLE_INDEX_FILE
    if not index.is_file():
        raise CheckpointError(f"{folder} has neither {PICKLE_FILE} nor {PICKLE_INDEX_FILE}")
    places = files.read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: weight_map must name the file of every tensor")
    for file in places.values():
        if not isinstance(file, str) or not _SHARD.fullmatch(file):
            raise CheckpointError(
                f"{index}: {str(file)[:200]!r} is not the name of a .bin file in the folder; nothing elsewhere is read"
            )
    return [folder / file for file in dict.fromkeys(places.values())]


def _convert(source: Path, target: Path) -> None:
    try:
        size = source.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{source} cannot be read: {error.strerror}") from None
    machine.check_memory(2 * size, f"reading {source}", cure="Take a machine with more memory.")
    extra, seconds = _COPIES * size + _SPARE_BYTES, _SECONDS + _SECONDS_PER_GIB * size // 2**30
    site = str(Path(torch.__file__).parents[1])
    command = [sys.executable, "-I", str(_PROGRAM), site, str(source.resolve()), str(target.resolve())]
    try:
        done = subprocess.run(  # noqa: S603  ourselves; the file's name is an argument, never part of a command
            [*command, str(extra), str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            timeout=10 * seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _refused(source, f"reading it took more than {10 * seconds} seconds") from None
    told = done.stderr.decode(errors="replace")
    if done.returncode == _NOT_WRITTEN:
        raise CheckpointError(f"{target} cannot be written: {files.printable(told.strip(), _MOST_LETTERS)}")
    if done.returncode != 0:
        raise _refused(source, _why(done.returncode, told, seconds, extra))


def _why(code: int, told: str, seconds: int, extra: int) -> str:
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"reading it took more than {seconds} seconds of processor time, or the system ended it"
    if code == -signal.SIGXFSZ:
        return "it unpacks to many times its size"
    if code == _OUT_OF_MEMORY or "MemoryError" in told:
        return f"reading it takes more than {extra / 2**30:,.1f} GiB of memory"
    lines = [line for line in told.splitlines() if line.strip()]
    line = (lines[0] if code == _REFUSED else lines[-1]) if lines else f"the process ended with code {code}"
    return files.printable(line, _MOST_LETTERS)


def _refused(source: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{source} is not read: {why}. A file of weights holds tensors by name and nothing else.")
