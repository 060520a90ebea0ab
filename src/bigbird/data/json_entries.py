"""One object of a JSON file: what it holds is asked for by name and kind, and every fault names its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bigbird.errors import DataError


@dataclass(frozen=True)
class Entry:
    """An object of a JSON file; asked for what is not there, or is of another kind, it says so with its place.

    values  by name
    where   its place in the file, for errors
    """

    values: Mapping[str, object]
    where: str

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A field that holds text; `default` where it is absent, without one that is an error."""
        if default is not None and not self.has(name):
            return default
        value = self._value(name)
        if not isinstance(value, str):
            raise self.wrong(name, "text")
        return value

    def label(self, name: str) -> str:
        """A field that holds text or a whole number, as text: what files name their questions with."""
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.wrong(name, "text or a whole number")
        return str(value)

    def number(self, name: str, default: int | None = None) -> int:
        """A field that holds a whole number."""
        if default is not None and not self.has(name):
            return default
        value = self._value(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number")
        return value

    def flag(self, name: str) -> bool:
        """A field that holds true or false; false where it is absent."""
        value = self.values.get(name) or False
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def items(self, name: str) -> list[object]:
        """A field that holds a list."""
        value = self._value(name)
        if not isinstance(value, list):
            raise self.wrong(name, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that holds a list of texts."""
        items = tuple(item for item in self.items(name) if isinstance(item, str))
        if len(items) != len(self.items(name)):
            raise self.wrong(name, "a list of texts")
        return items

    def entry(self, name: str) -> Entry:
        """A field that holds an object."""
        value = self._value(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Entry(value, f"{self.where}, {name}")

    def entries(self, name: str) -> Iterator[Entry]:
        """A field that holds a list of objects."""
        for number, value in enumerate(self.items(name), start=1):
            if not isinstance(value, dict):
                raise self.wrong(name, "a list of objects")
            yield Entry(value, f"{self.where}, {name} {number}")

    def only(self, *known: str) -> None:
        """Raise for a field that nobody reads, which is a slip of the pen as a rule."""
        for name in self.values:
            if name not in known:
                raise DataError(f"{self.where}: there is no field {name!r}; there may be {', '.join(known)}")

    def wrong(self, name: str, needed: str) -> DataError:
        """The error of a field that must hold something else."""
        return DataError(f"{self.where}: {name!r} must hold {needed}, got {self.values[name]!r:.60}")

    def _value(self, name: str) -> object:
        if not self.has(name):
            others = ", ".join(self.values) or "nothing"
            fault = f"{name!r} is null" if name in self.values else f"there is no {name!r}; it has {others}"
            raise DataError(f"{self.where}: {fault}")
        return self.values[name]
