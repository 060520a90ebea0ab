"""Files of JSON lines larger than memory, of which any line can be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import open_binary
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import entry_of_line
from bigbird.errors import DataError

Item = TypeVar("Item")


class LineFile(Sequence[Item], Generic[Item]):
    """What a plain .jsonl file holds, each line read when it is asked for; only where lines begin is in memory.

    make  an item of a line's object; its errors come when the line is asked for
    """

    def __init__(self, path: Path, make: Callable[[Entry], Item]) -> None:
        self.path = path
        self._make = make
        self._places, self._numbers = _lines(path)
        if not len(self._places):
            raise DataError(f"{path} holds no entries")

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        with open_binary(self.path) as file:
            file.seek(int(self._places[index]))
            return self._make(entry_of_line(file.readline(), f"{self.path}:{self._numbers[index]}"))


def _lines(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each line begins that holds more than blanks, in bytes, and its number from 1."""
    places, numbers, place = [], [], 0
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                places.append(place)
                numbers.append(number)
            place += len(line)
    return np.array(places, np.int64), np.array(numbers, np.int64)
