"""The transformers package, of a version we know."""

from __future__ import annotations

from types import ModuleType

from bigbird.errors import MissingDependency, require

_FIRST, _BEFORE = (5, 7), (6, 0)  # as pyproject.toml has it


def part(name: str = "") -> ModuleType:
    """The package, or a module of it by its name there ("masking_utils")."""
    package = require("transformers", extra="hf", purpose="bigbird.interop.transformers")
    version = tuple(int(number) for number in package.__version__.split(".")[:2])
    if not _FIRST <= version < _BEFORE:
        raise MissingDependency(
            f"bigbird.interop.transformers needs transformers of at least 5.7 and below 6, found "
            f"{package.__version__}. Run: pip install 'bigbird[hf]'"
        )
    if not name:
        return package
    return require(f"transformers.{name}", extra="hf", purpose="bigbird.interop.transformers")
