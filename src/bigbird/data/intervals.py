"""Places on a genome: BED files, gene annotation (GTF and GFF3), regions as people type them."""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from bigbird.data.files import read_lines
from bigbird.errors import ConfigError, DataError

log = logging.getLogger(__name__)

Strand = Literal["+", "-", "."]
Kind = Literal["gene", "transcript"]
Missing = Literal["error", "skip"]


@dataclass(frozen=True)
class Interval:
    """Bases [start, end) of a contig, counted from 0 as in BED; strand "." when it does not matter."""

    contig: str
    start: int
    end: int
    strand: Strand = "."
    name: str = ""

    @property
    def length(self) -> int:
        """Number of bases."""
        return self.end - self.start

    def __str__(self) -> str:
        """As people type a region: counted from 1, both ends included."""
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


@dataclass(frozen=True)
class Feature:
    """A gene or a transcript of an annotation.

    biotype  as the annotation names it ("protein_coding", "lncRNA", …), "" when it does not
    """

    interval: Interval
    kind: Kind
    gene: str
    biotype: str

    @property
    def start_site(self) -> int:
        """The first transcribed base, counted from 0: the left end on "+", the right end on "-"."""
        return self.interval.end - 1 if self.interval.strand == "-" else self.interval.start


def parse_region(text: str, contigs: Mapping[str, int]) -> Interval:
    """Read "chr22" or "chr22:1,000-2,000" (counted from 1, both ends included, as samtools does).

    A contig's name may hold ":" itself: what is a name as it stands is that contig, else the last ":" parts it.
    """
    if text in contigs:
        return Interval(text, 0, contigs[text])
    name, colon, places = text.rpartition(":")
    if not colon and text:
        contig = translate_names([text], contigs, source="the region")[text]
        return Interval(contig, 0, contigs[contig])
    match = re.fullmatch(r"([0-9][0-9,]{0,20})-([0-9][0-9,]{0,20})", places)
    if not match or not name:
        raise DataError(f"region {text!r} is not of the form contig or contig:start-end, for example chr22:1-50000")
    contig = translate_names([name], contigs, source="the region")[name]
    length = contigs[contig]
    start, end = (int(place.replace(",", "")) for place in match.groups())
    if not 1 <= start <= end <= length:
        raise DataError(f"region {text!r} must satisfy 1 <= start <= end <= {length}, the length of {contig}")
    return Interval(contig, start - 1, end)


def in_genome_order(regions: Iterable[Interval], contigs: Iterable[str]) -> list[Interval]:
    """Regions by contig, in the order of `contigs`, and start; two that share bases are refused."""
    rank = {contig: number for number, contig in enumerate(contigs)}
    ordered = sorted(regions, key=lambda region: (rank[region.contig], region.start))
    for one, other in pairwise(ordered):
        if one.contig == other.contig and other.start < one.end:
            raise ConfigError(f"the regions {one} and {other} share bases; give each base once")
    return ordered


def read_bed(path: Path, contigs: Mapping[str, int], *, missing: Missing = "error") -> list[Interval]:
    """Read a BED file of 3 to 12 columns (plain or gzip) for a genome with these `contigs`.

    missing "error" wants every line on the genome; "skip" leaves out, aloud, lines of contigs it lacks.
    """
    rows = []
    for number, line in read_lines(path):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        rows.append((number, _bed_line(line, f"{path}:{number}")))
    if not rows:
        raise DataError(f"{path} holds no intervals")
    names = translate_names({interval.contig for _, interval in rows}, contigs, source=str(path), missing=missing)
    return [
        _placed(interval, names, contigs, f"{path}:{number}") for number, interval in rows if interval.contig in names
    ]


def read_annotation(path: Path, contigs: Mapping[str, int]) -> list[Feature]:
    """Genes and transcripts of a GTF or GFF3 file (plain or gzip) that lie on the genome's `contigs`.

    Rows of contigs the genome lacks are left out and counted aloud; a row beyond a contig's end is an error.
    """
    rows = []
    for number, line in read_lines(path):
        if line.startswith("##FASTA"):
            break
        if not line.strip() or line.startswith("#"):
            continue
        feature = _annotation_line(line, f"{path}:{number}")
        if feature is not None:
            rows.append((number, feature))
    if not rows:
        raise DataError(f"{path} holds no gene or transcript rows; it must be GTF or GFF3")
    present = {feature.interval.contig for _, feature in rows}
    names = translate_names(present, contigs, source=str(path), missing="skip")
    placed = []
    for number, feature in rows:
        if feature.interval.contig in names:
            interval = _placed(feature.interval, names, contigs, f"{path}:{number}")
            placed.append(Feature(interval, feature.kind, feature.gene, feature.biotype))
    return placed


def start_sites(features: Iterable[Feature], *, kind: Kind = "transcript") -> list[Interval]:
    """The distinct start sites of all features of a kind, one base each, in order."""
    sites = {
        (feature.interval.contig, feature.start_site, feature.interval.strand): feature.gene
        for feature in features
        if feature.kind == kind and feature.interval.strand != "."
    }
    return [Interval(contig, site, site + 1, strand, gene) for (contig, site, strand), gene in sorted(sites.items())]


def translate_names(
    names: Iterable[str],
    contigs: Mapping[str, int],
    *,
    source: str,
    missing: Missing = "error",
) -> dict[str, str]:
    """Match contig names with those of the genome: "chr1" and "1" are the same, so are "chrM" and "MT".

    A translation is said aloud. A name the genome lacks is an error, or left out aloud with missing="skip".
    """
    matched, unknown = {}, []
    for name in sorted(set(names)):
        found = contig_named(name, contigs)
        if found is None:
            unknown.append(name)
        else:
            matched[name] = found
    translated = [f"{name} -> {found}" for name, found in matched.items() if name != found]
    if translated:
        log.warning("%s names contigs unlike the genome; read as: %s", source, _some(translated))
    if unknown and (missing == "error" or not matched):
        raise DataError(
            f"{source}: the genome has no contig {_some(unknown)}; it has {_some(list(contigs))}. "
            f"Is it the same assembly?"
        )
    if unknown:
        log.warning("%s: left out contigs the genome lacks: %s", source, _some(unknown))
    return matched


def contig_named(name: str, contigs: Container[str]) -> str | None:
    """The one of `contigs` that is meant by a name, which may be spelled otherwise; None when there is none."""
    return next((candidate for candidate in _spellings(name) if candidate in contigs), None)


def _spellings(name: str) -> tuple[str, ...]:
    bare = name[3:] if name.lower().startswith("chr") else name
    bare = "M" if bare.upper() in ("M", "MT") else bare
    return (name, f"chr{bare}", bare, *(("MT", "chrMT") if bare == "M" else ()))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _placed(interval: Interval, names: Mapping[str, str], contigs: Mapping[str, int], source: str) -> Interval:
    contig = names[interval.contig]
    if interval.end > contigs[contig]:
        raise DataError(
            f"{source}: {contig}:{interval.start}-{interval.end} goes beyond the contig, which has {contigs[contig]} "
            f"bases. Is it the same assembly?"
        )
    return Interval(contig, interval.start, interval.end, interval.strand, interval.name)


def _bed_line(line: str, source: str) -> Interval:
    columns = line.split("\t") if "\t" in line else line.split()
    if len(columns) < 3:
        raise DataError(f"{source}: a BED line needs at least 3 columns (contig, start, end), got {len(columns)}")
    start, end = _coordinates(columns[1], columns[2], source)
    if not 0 <= start < end:
        raise DataError(f"{source}: BED counts from 0 and needs 0 <= start < end, got start {start}, end {end}")
    return Interval(
        columns[0], start, end, _strand(columns[5] if len(columns) > 5 else "."), columns[3] if len(columns) > 3 else ""
    )


def _annotation_line(line: str, source: str) -> Feature | None:
    columns = line.split("\t")
    if len(columns) != 9:
        raise DataError(f"{source}: a GTF or GFF3 line needs 9 columns separated by tabs, got {len(columns)}")
    kind = _kind(columns[2])
    if kind is None:
        return None
    start, end = _coordinates(columns[3], columns[4], source)
    if not 1 <= start <= end:
        raise DataError(f"{source}: GTF and GFF3 count from 1 and need 1 <= start <= end, got {start} and {end}")
    attributes = _attributes(columns[8])
    gene = _first(attributes, "gene_name", "gene", "Name", "gene_id", "ID")
    biotype = _first(attributes, "gene_biotype", "gene_type", "biotype", "transcript_biotype", "transcript_type")
    return Feature(Interval(columns[0], start - 1, end, _strand(columns[6]), gene), kind, gene, biotype)


def _kind(feature_type: str) -> Kind | None:
    if feature_type in ("gene", "ncRNA_gene", "pseudogene"):
        return "gene"
    return "transcript" if feature_type.endswith(("transcript", "RNA")) else None


def _attributes(text: str) -> dict[str, str]:
    """Read `key "value";` (GTF) and `key=value;` (GFF3), also with the quotes doubled as table programs do."""
    pairs = re.findall(r'([\w.-]+)(?:=|\s+)"*([^";]*)"*', text)
    return {key: value.strip() for key, value in reversed(pairs)}


def _first(attributes: Mapping[str, str], *keys: str) -> str:
    return next((attributes[key] for key in keys if attributes.get(key)), "")


def _strand(text: str) -> Strand:
    return text if text in ("+", "-") else "."  # type: ignore[return-value]


def _coordinates(start: str, end: str, source: str) -> tuple[int, int]:
    try:
        return int(start), int(end)
    except ValueError:
        raise DataError(f"{source}: start and end must be whole numbers, got {start!r} and {end!r}") from None
