"""Records: what people have in files, one item each, before any tokenizer has seen it."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bigbird.data.fasta import read_fasta
from bigbird.data.files import ending_of, read_lines
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, read_bed, translate_names
from bigbird.data.json_files import json_lines
from bigbird.errors import DataError
from bigbird.tokenizers import clean_dna, reverse_complement

log = logging.getLogger(__name__)

_FASTA_ENDINGS = (".fa", ".fasta", ".fna")
_TABLE_ENDINGS = (".csv", ".tsv", ".jsonl")

_Row = tuple[int, Mapping[str, object]]  # number of the line, cells by column


class Span(NamedTuple):
    """Characters (bases) [start, end) of a record that carry a label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One sequence and what is known of it.

    labels   of the whole sequence
    spans    labelled stretches
    ignored  stretches of unknown truth, [start, end): they are neither right nor wrong when a model learns
    interval where the sequence lies on its genome, if it does
    draw     key for random choices a task makes for this record, such as which tokens to hide
    """

    sequence: str
    name: str = ""
    labels: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    ignored: tuple[tuple[int, int], ...] = ()
    interval: Interval | None = None
    draw: int = 0

    def on_other_strand(self, *, stranded: Collection[str] | None = None) -> Record:
        """The same DNA read the other way; labels that name a strand change sides.

        stranded  the labels that do, see `stranded_labels`; without it all that `other_strand` changes
        """
        length = len(self.sequence)

        def turned(label: str) -> str:
            return other_strand(label) if stranded is None or label in stranded else label

        return replace(
            self,
            sequence=reverse_complement(self.sequence),
            spans=tuple(Span(length - end, length - start, turned(label)) for start, end, label in self.spans),
            ignored=tuple((length - end, length - start) for start, end in self.ignored),
            labels=tuple(turned(label) for label in self.labels),
        )


def other_strand(label: str) -> str:
    """promoter+ becomes promoter-; a label that names no strand stays, and so does a sign alone."""
    return label[:-1] + {"+": "-", "-": "+"}.get(label[-1], label[-1]) if len(label) > 1 else label


def stranded_labels(labels: Iterable[str]) -> frozenset[str]:
    """Those of all labels that name a strand: their counterparts are among them. CD4+ without CD4- is just a name."""
    known = frozenset(labels)
    return frozenset(label for label in known if other_strand(label) != label and other_strand(label) in known)


def labels_of(records: Iterable[Record]) -> tuple[str, ...]:
    """All labels of records and their spans, in order of name."""
    return tuple(sorted({label for record in records for label in (*record.labels, *(s.label for s in record.spans))}))


def read_records(path: Path, *, genome: Genome | None = None, asked: str = "--genome FASTA") -> list[Record]:
    """Read DNA records: FASTA, BED with a genome, or a table (.csv, .tsv, .jsonl; all may be gzip).

    A table has a column `sequence`, or `contig`, `start`, `end` and perhaps `strand` (as BED) with a genome. Optional
    are `name`, `label` (several joined by ";", or a list in JSON) and `spans` (JSON: [[start, end, label], …], bases of
    the sequence counted from 0).

    asked  what the user gives a genome with
    """
    return list(stream_records(path, genome=genome, asked=asked))


def stream_records(path: Path, *, genome: Genome | None = None, asked: str = "--genome FASTA") -> Iterator[Record]:
    """What `read_records` reads, one record after the other: of a long file one sequence is in memory at a time.

    (Places of a BED file and rows of a table are read first, all of them.)
    """
    num_records = num_ambiguous = 0
    for record, count in _parsed(path, genome, asked):
        num_records += 1
        num_ambiguous += count
        yield record
    if not num_records:
        raise DataError(f"{path} holds no records")
    if num_ambiguous:
        log.warning("%s: %d ambiguity codes were read as N", path, num_ambiguous)


def _parsed(path: Path, genome: Genome | None, asked: str) -> Iterator[tuple[Record, int]]:
    """Each record of a file, and how many of its letters were ambiguity codes."""
    ending = ending_of(path)
    if ending in _FASTA_ENDINGS:
        for name, text in read_fasta(path):
            yield _from_row({"sequence": text, "name": name}, genome, f"{path} {name}", asked)
    elif ending == ".bed":
        if genome is None:
            raise DataError(f"{path} holds places, not sequences; give the genome they lie on with {asked}")
        for interval in read_bed(path, genome.contigs):
            yield on_genome(interval, genome), genome.window(interval).num_ambiguous
    elif ending in _TABLE_ENDINGS:
        for number, row in _on_contigs(list(_rows(path, ending)), genome, path):
            yield _from_row(row, genome, f"{path}:{number}", asked)
    else:
        raise DataError(
            f"{path}: cannot tell the format from the name; it must end in "
            f"{', '.join((*_FASTA_ENDINGS, '.bed', *_TABLE_ENDINGS))} (and may be gzip, .gz)"
        )


def on_genome(interval: Interval, genome: Genome) -> Record:
    """The record of a place on a genome."""
    name = interval.name or f"{interval.contig}:{interval.start + 1}-{interval.end}"
    return Record(sequence=genome.window(interval).sequence, name=name, interval=interval)


def _rows(path: Path, ending: str) -> Iterator[_Row]:
    if ending == ".jsonl":
        yield from json_lines(path, example='{"sequence": …}')
        return
    lines = ((number, line) for number, line in read_lines(path) if line.strip())
    header: list[str] | None = None
    for number, line in lines:
        cells = _cells(line, "," if ending == ".csv" else "\t", f"{path}:{number}")
        if header is None:
            header = [cell.strip() for cell in cells]
        elif len(cells) != len(header):
            raise DataError(f"{path}:{number}: the header has {len(header)} columns, this line {len(cells)}")
        else:
            yield number, dict(zip(header, cells, strict=True))


def _cells(line: str, delimiter: str, source: str) -> list[str]:
    usual = csv.field_size_limit(len(line) + 1)  # a sequence may well be longer than the usual 131,072 letters
    try:
        (cells,) = csv.reader([line], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise DataError(f"{source}: a cell begins with a quote that does not end properly ({error})") from None
    finally:
        csv.field_size_limit(usual)
    return cells


def _on_contigs(rows: Sequence[_Row], genome: Genome | None, path: Path) -> Iterator[_Row]:
    """Rows with the genome's own contig names; what was translated is said once for the file."""
    given = {str(row["contig"]) for _, row in rows if "contig" in row and "sequence" not in row}
    names = translate_names(given, genome.contigs, source=str(path)) if genome is not None and given else {}
    for number, row in rows:
        contig = str(row.get("contig"))
        yield number, {**row, "contig": names[contig]} if contig in names else row


def _from_row(row: Mapping[str, object], genome: Genome | None, source: str, asked: str) -> tuple[Record, int]:
    name = str(row.get("name") or source)
    labels, spans = _labels(row.get("label"), source), _spans(row.get("spans"), source)
    if "sequence" in row:
        text = row["sequence"]
        if not isinstance(text, str) or not text:
            raise DataError(f"{source}: the sequence is empty")
        sequence, num_ambiguous = clean_dna(text, source=source)
        return Record(sequence=sequence, name=name, labels=labels, spans=spans), num_ambiguous
    if not {"contig", "start", "end"} <= set(row):
        raise DataError(
            f"{source}: a record needs a column 'sequence', or 'contig', 'start' and 'end'; it has "
            f"{', '.join(map(str, row)) or 'none'}"
        )
    if genome is None:
        raise DataError(f"{source} names a place, not a sequence; give the genome it lies on with {asked}")
    interval = _interval(row, genome, source)
    record = replace(on_genome(interval, genome), labels=labels, spans=spans)
    return record, genome.window(interval).num_ambiguous


def _interval(row: Mapping[str, object], genome: Genome, source: str) -> Interval:
    try:
        start, end = int(str(row["start"])), int(str(row["end"]))
    except ValueError:
        raise DataError(f"{source}: start and end must be whole numbers") from None
    contig, strand = str(row["contig"]), str(row.get("strand") or ".")
    if not 0 <= start < end <= genome.contigs[contig] or strand not in ("+", "-", "."):
        raise DataError(
            f"{source}: {contig}:{start}-{end} strand {strand} is no place on the genome (counted from 0, 0 <= start < "
            f"end <= contig length, strand +, - or .)"
        )
    return Interval(contig, start, end, strand, str(row.get("name") or ""))  # type: ignore[arg-type]  # checked


def _labels(value: object, source: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | int):
        value = str(value).split(";")
    if isinstance(value, list):
        parts = (str(item).strip() for item in value)
        return tuple(part for part in parts if part)
    raise DataError(f"{source}: label must be text, a whole number or a list of these, got {value!r}")


def _spans(value: object, source: str) -> tuple[Span, ...]:
    if value is None or value == "":
        return ()
    try:
        rows = json.loads(value) if isinstance(value, str) else value
        spans = tuple(Span(int(start), int(end), str(label)) for start, end, label in rows)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise DataError(f"{source}: spans must be a list of [start, end, label], got {value!r}") from None
    if any(not 0 <= span.start < span.end for span in spans):
        raise DataError(f"{source}: a span needs 0 <= start < end, got {value!r}")
    return spans
