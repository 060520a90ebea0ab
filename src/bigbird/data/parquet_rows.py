"""Rows of Parquet files, few in memory at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from bigbird.errors import DataError, require

_ROWS_AT_ONCE = 64


def parquet_rows(
    path: Path, needed: Collection[str], *, cure: str, wanted: Collection[str] = ()
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Rows counted from 1, with the columns named.

    needed  columns that must be there
    cure    a sentence that says how to name other ones, for the error
    wanted  columns that are read where they are there
    """
    parquet = require("pyarrow.parquet", extra="parquet", purpose=f"reading {path}")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            there = set(file.schema_arrow.names)
            if missing := set(needed) - there:
                raise DataError(
                    f"{path}: there is no column {min(missing)!r} (it has {', '.join(file.schema_arrow.names)}). {cure}"
                )
            columns = sorted(there & {*needed, *wanted})
            for batch in file.iter_batches(columns=columns, batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError; ours pass through
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as Parquet, after row {number}: {error}") from None
