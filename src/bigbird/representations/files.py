"""Embeddings as files: NumPy with a table of names, Parquet, AnnData. All are written as the vectors come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from bigbird.data.files import json_text, written_whole
from bigbird.errors import InputError, require
from bigbird.representations.embedding import Embedded, Vectors

COLUMNS = ("name", "contig", "start", "end", "strand")
_HEADER_BYTES = 128
_ROWS_AT_ONCE = 4096

About = Mapping[str, Any]


class Place(NamedTuple):
    """What a row of vectors stands for: counted from 0 as in BED, in the record itself where contig is ""."""

    name: str
    contig: str
    start: int
    end: int
    strand: str


def check_format(path: Path) -> None:
    """Raise unless the file's name tells a format that can be written here."""
    if path.suffix not in _WRITERS:
        raise InputError(f"--out {path} must end in {', '.join(_WRITERS)}: the ending chooses the format")
    for module, extra in _NEEDS.get(path.suffix, {}).items():
        require(module, extra=extra, purpose=f"writing {path.suffix}")


def files_beside(path: Path) -> tuple[Path, ...]:
    """What `write_embeddings` writes along with `path`: beside .npy the table of names and what was computed."""
    return (path.with_suffix(".tsv"), path.with_suffix(".json")) if path.suffix == ".npy" else ()


def write_embeddings(path: Path, rows: Iterable[Embedded], about: About) -> int:
    """Write all rows in the format that the file's ending names; how many there were.

    .npy      float32 [rows, hidden]; beside it a table of the same name in .tsv (name, contig, start, end, strand) and
              what was computed in .json
    .parquet  a row each: name, contig, start, end, strand, embedding (float32 [hidden]); `about` in the metadata
    .h5ad     AnnData: X is the vectors, obs the places, uns["bigbird"] what was computed
    """
    check_format(path)
    return _WRITERS[path.suffix](path, rows, about)


def places_of(embedded: Embedded) -> Iterator[Place]:
    """Where each row lies: on the genome if the record does, else in the record."""
    interval = embedded.interval
    for start, end in zip(embedded.starts.tolist(), embedded.ends.tolist(), strict=True):
        if interval is None:
            yield Place(embedded.name, "", start, end, "")
        elif interval.strand == "-":
            yield Place(embedded.name, interval.contig, interval.end - end, interval.end - start, "-")
        else:
            yield Place(embedded.name, interval.contig, interval.start + start, interval.start + end, interval.strand)


def _write_npy(path: Path, rows: Iterable[Embedded], about: About) -> int:
    with ExitStack() as stack:
        names_path, about_path = (stack.enter_context(written_whole(one)) for one in files_beside(path))
        vectors_path = stack.enter_context(written_whole(path))
        with vectors_path.open("wb") as vectors, names_path.open("w", encoding="utf-8") as names:
            shape = _write_rows(vectors, names, rows)
        about_path.write_text(json_text({**about, "shape": shape}))
    return shape[0]


def _write_rows(vectors: IO[bytes], names: IO[str], rows: Iterable[Embedded]) -> tuple[int, int]:
    """One part after the other; how many rows there are is written into the header at the end."""
    num_rows = width = 0
    vectors.write(bytes(_HEADER_BYTES))
    print(*COLUMNS, sep="\t", file=names)
    for embedded in rows:
        vectors.write(np.ascontiguousarray(embedded.vectors, np.float32).tobytes())
        names.writelines("\t".join(map(_cell, place)) + "\n" for place in places_of(embedded))
        num_rows, width = num_rows + len(embedded.vectors), embedded.vectors.shape[1]
    vectors.seek(0)
    vectors.write(_npy_header(num_rows, width))
    return num_rows, width


def _npy_header(num_rows: int, width: int) -> bytes:
    """Version 1.0 of NumPy's format (numpy.lib.format), of a fixed size."""
    text = repr({"descr": "<f4", "fortran_order": False, "shape": (num_rows, width)})
    size = _HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1).encode() + b"\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split())  # a tab or a line's end in a name would break the table


def _write_parquet(path: Path, rows: Iterable[Embedded], about: About) -> int:
    arrow = require("pyarrow", extra="parquet", purpose="writing .parquet")
    parquet = require("pyarrow.parquet", extra="parquet", purpose="writing .parquet")
    num_rows, writer = 0, None
    with written_whole(path) as temporary:
        try:
            for places, vectors in _in_groups(rows):
                if writer is None:
                    schema = _schema(arrow, vectors.shape[1], about)
                    writer = parquet.ParquetWriter(temporary, schema)
                writer.write_table(_table(arrow, writer.schema, places, vectors))
                num_rows += len(places)
        finally:
            if writer is not None:
                writer.close()
    return num_rows


def _schema(arrow: Any, width: int, about: About) -> Any:
    kinds = (arrow.string(), arrow.string(), arrow.int64(), arrow.int64(), arrow.string())
    fields = [*zip(COLUMNS, kinds, strict=True), ("embedding", arrow.list_(arrow.float32(), width))]
    return arrow.schema(fields, metadata={"bigbird": json_text(about)})


def _table(arrow: Any, schema: Any, places: list[Place], vectors: Vectors) -> Any:
    columns = [list(column) for column in zip(*places, strict=True)]
    flat = arrow.array(vectors.ravel())
    embedding = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return arrow.Table.from_arrays(
        [*(arrow.array(column, field.type) for column, field in zip(columns, schema, strict=False)), embedding],
        schema=schema,
    )


def _in_groups(rows: Iterable[Embedded]) -> Iterator[tuple[list[Place], Vectors]]:
    """Rows gathered to groups that a Parquet file likes."""
    places: list[Place] = []
    vectors: list[Vectors] = []
    for embedded in rows:
        places += places_of(embedded)
        vectors.append(embedded.vectors)
        if len(places) >= _ROWS_AT_ONCE:
            yield places, np.concatenate(vectors)
            places, vectors = [], []
    if places:
        yield places, np.concatenate(vectors)


def _write_h5ad(path: Path, rows: Iterable[Embedded], about: About) -> int:
    """By way of a file beside it, so that the vectors need no memory; the places do."""
    anndata = require("anndata", extra="anndata", purpose="writing .h5ad")
    pandas = require("pandas", extra="anndata", purpose="writing .h5ad")
    places: list[Place] = []
    with written_whole(path) as temporary:
        beside = temporary.with_suffix(".npy")
        try:
            with beside.open("wb") as vectors, Path(os.devnull).open("w") as nowhere:
                num_rows, _ = _write_rows(vectors, nowhere, _noted(rows, places))
            table = pandas.DataFrame(places, columns=list(COLUMNS), index=list(map(str, range(num_rows))))
            matrix = np.asarray(np.load(beside, mmap_mode="r"))  # still on disk; anndata knows no memmap
            data = anndata.AnnData(matrix, obs=table, uns={"bigbird": json_text(about)})
            with anndata.settings.override(allow_write_nullable_strings=True):
                data.write_h5ad(temporary)
        finally:
            beside.unlink(missing_ok=True)
    return num_rows


def _noted(rows: Iterable[Embedded], places: list[Place]) -> Iterator[Embedded]:
    for embedded in rows:
        places.extend(places_of(embedded))
        yield embedded


_WRITERS: Mapping[str, Callable[[Path, Iterable[Embedded], About], int]] = {
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".h5ad": _write_h5ad,
}
_NEEDS = {".parquet": {"pyarrow": "parquet"}, ".h5ad": {"anndata": "anndata"}}
