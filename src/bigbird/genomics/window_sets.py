"""Window sets: labelled windows of a genome in parts that share no bases, with what is known of how they were made.

    FOLDER/set.json        what it is: sources, negatives, split, genome, counts, leakage, figures of the baselines
    FOLDER/train.tsv       one window a line: name, label, kind, locus, contig, start, end, strand
    FOLDER/validation.tsv  likewise; counted from 0 as in BED, several labels joined by ";"
    FOLDER/test.tsv

A part that holds letters no genome has has a column `sequence` too. All are tables that `read_records` reads.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from bigbird.data.files import json_text, read_lines
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, read_records
from bigbird.errors import DataError
from bigbird.genomics.builds import build_of
from bigbird.interop.new_folder import new_folder

SET_FILE = "set.json"
FORMAT = 1

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

_COLUMNS = ("name", "label", "kind", "locus", "contig", "start", "end", "strand")


class SetWindow(NamedTuple):
    """A window of a set.

    record  its letters, name and labels; an interval unless its letters are made up
    kind    how it came into the set, such as "promoter" or "gc-matched"
    locus   number of the place it belongs to: windows of one locus share bases, or are made out of each other's
    """

    record: Record
    kind: str
    locus: int


@dataclass(frozen=True, kw_only=True)
class WindowSet:
    """A window set before it is written.

    what      the kind of set, such as "promoters"; tells `bigbird evaluate` how to score a model on it
    parts     windows by part, those there are
    genome    what `genome_note` says of the genome the windows were cut from
    settings  everything that decides which windows these are; negatives, span, regions and seed among them
    findings  what was measured: the leakage report, figures of the baselines
    notes     sentences a reader of any figure must know, such as "negatives are synthetic"
    """

    what: str
    parts: Mapping[Part, Sequence[SetWindow]]
    genome: Mapping[str, object]
    settings: Mapping[str, object]
    findings: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def genome_note(paths: Iterable[Path], genome: Genome, *, build: str = "") -> dict[str, object]:
    """File names, assembly (`build`, or what the contigs' lengths tell) and contigs with their lengths."""
    return {
        "files": [path.name for path in paths],
        "build": build or build_of(genome.contigs),
        "contigs": dict(genome.contigs),
    }


def loci_of(intervals: Sequence[Interval]) -> list[int]:
    """A number per interval, the same for those that share bases, also by way of others; strands do not matter.

    ──a──   ──c──
      ──b──         ──d──      a, b: 0   c: 1   d: 2
    """
    order = sorted(range(len(intervals)), key=lambda index: (intervals[index].contig, intervals[index].start))
    loci = [0] * len(intervals)
    locus, contig, end = -1, "", 0
    for index in order:
        interval = intervals[index]
        if interval.contig != contig or interval.start >= end:
            locus, contig, end = locus + 1, interval.contig, interval.end
        end = max(end, interval.end)
        loci[index] = locus
    return loci


def write_window_set(folder: Path, windows: WindowSet) -> dict[str, Any]:
    """Write a new folder, whole or not at all; returns what stands in set.json."""
    parts = [part for part in PARTS if part in windows.parts]
    with new_folder(folder) as temporary:
        about: dict[str, Any] = {
            "format": FORMAT,
            "what": windows.what,
            "bigbird": metadata.version("bigbird"),
            "genome": dict(windows.genome),
            "settings": dict(windows.settings),
            "parts": {part: _counts(windows.parts[part]) for part in parts},
            "notes": list(windows.notes),
            **windows.findings,
        }
        for part in parts:
            _write_table(temporary / f"{part}.tsv", windows.parts[part])
        text = json_text(about)
        (temporary / SET_FILE).write_text(text, encoding="utf-8")
    written: dict[str, Any] = json.loads(text)
    return written


def _counts(windows: Sequence[SetWindow]) -> dict[str, object]:
    labels = Counter(label for window in windows for label in window.record.labels)
    return {
        "windows": len(windows),
        "loci": len({window.locus for window in windows}),
        "labels": dict(sorted(labels.items())),
        "kinds": dict(sorted(Counter(window.kind for window in windows).items())),
        "letters_sha256": letters_sha256(window.record for window in windows),
    }


def letters_sha256(records: Iterable[Record]) -> str:
    """Of the records' letters, each followed by a line end."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(record.sequence.encode() + b"\n")
    return digest.hexdigest()


def _write_table(path: Path, windows: Sequence[SetWindow]) -> None:
    has_letters = any(window.record.interval is None for window in windows)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow([*_COLUMNS, *(["sequence"] if has_letters else [])])
        for window in windows:
            table.writerow([*_cells(window), *([window.record.sequence] if has_letters else [])])


def _cells(window: SetWindow) -> list[object]:
    record, interval = window.record, window.record.interval
    labels = [label for label in record.labels if ";" in label]
    if labels:
        raise DataError(f"label {labels[0]!r} holds a ';', which parts labels in a table; rename it")
    place = ["", "", "", ""] if interval is None else [interval.contig, interval.start, interval.end, interval.strand]
    return [record.name, ";".join(record.labels), window.kind, window.locus, *place]


@dataclass(frozen=True, kw_only=True)
class StoredSet:
    """A window set's folder, opened.

    about  what stands in set.json
    """

    folder: Path
    about: dict[str, Any]

    def part(self, part: Part, genome: Genome | None = None) -> list[SetWindow]:
        """The windows of a part; raises `DataError` when the genome is another than the set's or letters differ."""
        self.check_part(part)
        known = self.about["parts"]
        if genome is not None:
            self._check_genome(genome)
        path = self.folder / f"{part}.tsv"
        records = read_records(path, genome=genome)
        if letters_sha256(records) != known[part]["letters_sha256"]:
            raise DataError(
                f"the letters of {path} are not those the set was made with: the file was changed, or the genome's "
                f"letters were. Make the set anew"
            )
        return [SetWindow(record, *rest) for record, rest in zip(records, _kinds_and_loci(path), strict=True)]

    def check_part(self, part: str) -> None:
        """Raise when there is no such part."""
        if part not in self.about["parts"]:
            raise DataError(f"{self.folder} has no part {part!r}; it has {', '.join(self.about['parts'])}")

    def _check_genome(self, genome: Genome) -> None:
        for contig, length in self.about["genome"]["contigs"].items():
            given = genome.contigs.get(contig, length)
            if given != length:
                raise DataError(
                    f"{self.folder} was made from {self.about['genome']['build']} with {length:,} bases in {contig}; "
                    f"the genome given has {given:,} ({build_of(genome.contigs)}). Give the same assembly"
                )


def is_window_set(folder: Path) -> bool:
    """Whether a folder holds a window set."""
    return (folder / SET_FILE).is_file()


def open_window_set(folder: Path) -> StoredSet:
    """Open a folder that `write_window_set` made; raises `DataError` for anything else."""
    path = folder / SET_FILE
    if not path.is_file():
        raise DataError(f"{folder} is no window set: it has no {SET_FILE}. Make one with: bigbird windows --help")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}. Make the set anew") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise DataError(f"{path} must have format {FORMAT}, got {found!r}; this bigbird reads no other")
    wanted = {"what": str, "genome": dict, "settings": dict, "parts": dict, "notes": list}
    for name, kind in wanted.items():
        if not isinstance(about.get(name), kind):
            raise DataError(f"{path}: {name!r} is missing or damaged. Make the set anew")
    return StoredSet(folder=folder, about=about)


def _kinds_and_loci(path: Path) -> list[tuple[str, int]]:
    """Columns kind and locus, which records do not keep."""
    rows = csv.reader((line for _, line in read_lines(path) if line.strip()), delimiter="\t", strict=True)
    usual = csv.field_size_limit(2**31 - 1)  # a sequence may well be longer than the usual 131,072 letters
    try:
        header = next(rows)
        kind, locus = header.index("kind"), header.index("locus")
        return [(row[kind], int(row[locus])) for row in rows]
    except (csv.Error, ValueError, IndexError) as error:
        raise DataError(f"{path} is damaged ({error}). Make the set anew") from None
    finally:
        csv.field_size_limit(usual)
