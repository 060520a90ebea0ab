"""Turns a pytorch_model.bin into a safetensors file. A program, run by `pickle_file` in a process of its own.

    python -I unpickling.py SITE SOURCE TARGET EXTRA_BYTES CPU_SECONDS

It needs PyTorch and safetensors alone. PyTorch's unpickler for weights builds tensors and plain containers, and names
no function; beside it stand limits on memory, time and file size, and a hook that ends the process when anything opens
a connection, starts a program or writes elsewhere. A refusal is one line on standard error and exit code 3.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any, NoReturn

REFUSED, OUT_OF_MEMORY, NOT_WRITTEN = 3, 4, 5

_NAMED = re.compile(r"nsupported (?:global: )?GLOBAL ([\w.]{1,100})")  # in PyTorch's long advice
_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "shutil.",
    "ctypes.",
    "pty.",
    "webbrowser.",
    "urllib.",
    "code.__new__",
)


def main(site: str, source: str, target: str, extra_bytes: str, cpu_seconds: str) -> None:
    """Convert one file."""
    sys.path.append(site)
    import safetensors.torch  # noqa: PLC0415  found where the calling process has it
    import torch  # noqa: PLC0415

    warnings.simplefilter("ignore")  # what is read is told by the process that waits
    torch.set_num_threads(1)
    safetensors.torch.save({"warm": torch.zeros(1)})  # whatever it imports late is imported before the fences stand
    size = Path(source).stat().st_size
    _check_container(source)
    _fence(target, int(extra_bytes), int(cpu_seconds))
    try:
        is_zip = zipfile.is_zipfile(source)
        loaded = torch.load(source, map_location="cpu", weights_only=True, mmap=is_zip or None)
        _write(_tensors(loaded, size), target)
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except RuntimeError as error:
        if "memory" in str(error).lower() or "alloc" in str(error).lower():
            sys.exit(OUT_OF_MEMORY)
        _refuse("torch.save wrote no such file (RuntimeError)")
    except Exception as error:  # noqa: BLE001  whatever a broken pickle raises is told by the process that waits
        named = _NAMED.search(str(error))
        _refuse(
            f"it names {named[1]}, which is not run"
            if named
            else f"torch.save wrote no such file ({type(error).__name__})"
        )


def _write(tensors: dict[str, Any], target: str) -> None:
    import safetensors.torch  # noqa: PLC0415

    try:
        safetensors.torch.save_file(tensors, target, metadata={"format": "pt"})
    except safetensors.SafetensorError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(NOT_WRITTEN)


def _check_container(source: str) -> None:
    """PyTorch packs nothing; what is packed could unpack to any size."""
    if not zipfile.is_zipfile(source):
        return
    with zipfile.ZipFile(source) as file:
        packed = [entry.filename for entry in file.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        _refuse(f"its part {packed[0]!r} is compressed, which PyTorch never does")


def _fence(target: str, extra_bytes: int, cpu_seconds: int) -> None:
    """Limits from here on: memory beyond what is mapped now, processor time, size of written files, and the hook."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + extra_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, extra_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    folder = str(Path(target).parent) + os.sep

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_FORBIDDEN):
            _end(f"it tried to run code ({event})")
        if event == "open" and _writes(arguments[2]) and not _is_in(folder, arguments[0]):
            _end("it tried to write a file")

    sys.addaudithook(watch)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _is_in(folder: str, path: object) -> bool:
    """An open file's number counts as outside: nothing that is needed here opens one again for writing."""
    return isinstance(path, str | bytes) and os.path.abspath(os.fsdecode(path)).startswith(folder)  # noqa: PTH100


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _tensors(loaded: object, size: int) -> dict[str, Any]:
    """Tensors by name, each with memory of its own; what is said to be larger than its file is no copy of it."""
    import torch  # noqa: PLC0415

    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not loaded:
        _refuse(f"it holds {type(loaded).__name__}, not tensors by name")
    assert isinstance(loaded, dict)
    found: dict[str, Any] = {}
    total = 0
    for name, tensor in loaded.items():
        if not isinstance(name, str) or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            _refuse(f"{name!r} is {type(tensor).__name__}, not a tensor by name")
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            _refuse(f"{name!r} is no plain tensor")
        num_bytes = tensor.numel() * tensor.element_size()
        total += num_bytes
        if num_bytes > size or total > 4 * size:  # tied tensors are stored once and counted twice
            _refuse(f"{name!r} is said to have {num_bytes:,} bytes, the whole file has {size:,}")
        found[name] = tensor
    return {name: tensor.detach().contiguous().clone() for name, tensor in found.items()}


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.stderr.flush()
    sys.exit(REFUSED)


def _end(why: str) -> NoReturn:
    """At once: no handler further up may go on."""
    os.write(2, f"{why}\n".encode())
    os._exit(REFUSED)


if __name__ == "__main__":
    main(*sys.argv[1:])
