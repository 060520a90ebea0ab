"""Builds the C++ attention kernels when bigbird is installed; without a compiler the installation goes on without them.

One library per instruction set, none of them linked against Python or PyTorch: one wheel serves every version of both.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = Path(__file__).parent / "src" / "bigbird" / "attention" / "native"

_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq")
_AVX512_BF16 = (*_AVX512, "-mavx512bf16")
# Name of each library -> flags for its kernels, and what library.cpp asks the processor for.
_X86 = {
    "avx2": (_AVX2, ("AVX2",)),
    "avx512": (_AVX512, ("AVX2", "AVX512")),
    "avx512_bf16": (_AVX512_BF16, ("AVX2", "AVX512", "AVX512_BF16")),
    "avx512_amx": ((*_AVX512_BF16, "-mamx-tile", "-mamx-bf16"), ("AVX2", "AVX512", "AVX512_BF16", "AMX")),
}
_FLAGS = (
    "-O3",
    "-std=gnu++17",
    "-fPIC",
    "-Wall",
    "-fno-math-errno",
    "-ffp-contract=fast",  # a * b + c is one operation
    "-fvisibility=hidden",
    "-pthread",
)


class NativeKernels(BuildHookInterface):  # type: ignore[type-arg]
    """Called by `pip install`, editable or not."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and let the wheel carry what came out. `version` is "standard" or "editable"."""
        built = build_all(os.environ.get("CXX"))
        if built:
            build_data["artifacts"].extend(str(path.relative_to(self.root)) for path in built)
            build_data["pure_python"] = False
            build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
        self.app.display_info(f"native attention kernels: {', '.join(path.name for path in built) or 'none'}")


def build_all(compiler: str | None = None) -> list[Path]:
    """Compile every library this kind of processor may use; those that a compiler cannot make are left out."""
    found = find_compiler(compiler)
    for old in SOURCES.glob("libbigbird_native_*.so"):
        old.unlink()  # never loaded beside sources it was not made from
    if found is None:
        print("no C++ compiler (g++ or clang++): bigbird goes on without its native attention kernels", file=sys.stderr)
        return []
    builds = {"generic": ((), ())} | (_X86 if platform.machine().lower() in {"x86_64", "amd64"} else {})
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [path for path in pool.map(lambda build: _build(found, build[0], *build[1]), builds.items()) if path]


def find_compiler(wanted: str | None = None) -> str | None:
    """The compiler asked for, or the first of the usual ones that is there."""
    return next(
        (path for name in ((wanted,) if wanted else ("g++", "c++", "clang++")) if (path := shutil.which(name))), None
    )


def _build(compiler: str, name: str, flags: tuple[str, ...], needs: tuple[str, ...]) -> Path | None:
    target = SOURCES / f"libbigbird_native_{name}.so"
    with tempfile.TemporaryDirectory() as folder:
        units = {
            "kernels": flags,
            "parallel": (),
            "library": tuple(f"-DBIGBIRD_NEEDS_{feature}" for feature in needs),
        }
        objects = [str(Path(folder, f"{unit}.o")) for unit in units]
        commands = [
            [compiler, *_FLAGS, *extra, "-c", str(SOURCES / f"{unit}.cpp"), "-o", output]
            for (unit, extra), output in zip(units.items(), objects, strict=True)
        ]
        library = str(Path(folder, target.name))
        commands.append([compiler, "-shared", "-pthread", *objects, "-o", library, "-ldl"])
        for command in commands:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                print(f"the native library {name} could not be built:\n{result.stderr[-2000:]}", file=sys.stderr)
                return None
        shutil.copyfile(library, target.with_suffix(".part"))
        target.with_suffix(".part").rename(target)
    return target


if __name__ == "__main__":
    print("\n".join(str(path) for path in build_all(os.environ.get("CXX"))) or "nothing was built")
