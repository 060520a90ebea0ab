"""VCF files as they stand: a line keeps its bytes whatever is read from it, and only INFO is ever added to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, NamedTuple

from bigbird.data.files import open_binary
from bigbird.errors import DataError, InputError, require

NUM_COLUMNS = 8  # CHROM POS ID REF ALT QUAL FILTER INFO; FORMAT and samples may follow

_INFO = 7
_COMPRESSED = (".gz", ".bgz")
_BOM = b"\xef\xbb\xbf"
_CONTIG = re.compile(rb"##contig=<(?:.*,)?ID=([^,>]+)(?:,.*)?>")
_LENGTH = re.compile(rb"[<,]length=([0-9]+)[,>]")


class Variant(NamedTuple):
    """A place where a sequence may differ, as a VCF file writes it.

    position  of the first base of `ref`, counted from 1; 0 is the contig's left end
    alts      letters, "*", "<DEL>", a breakend or "."; at least one
    """

    contig: str
    position: int
    ref: str
    alts: tuple[str, ...]
    name: str = "."

    def __str__(self) -> str:
        """As people write it, long alleles shortened."""
        return f"{self.contig}:{self.position} {_short(self.ref)}>{_short(','.join(self.alts))}"


class VcfLine(NamedTuple):
    """A line behind the header, its end included; `variant` is None for blank lines and comments, which are kept."""

    number: int
    raw: bytes
    variant: Variant | None


def read_header(path: Path) -> tuple[bytes, ...]:
    """The lines of a VCF file (plain, gzip or bgzip) up to "#CHROM …", ends included."""
    with open_binary(path) as file:
        return tuple(_header(file, path))


def read_lines(path: Path) -> Iterator[VcfLine]:
    """The lines behind the header, read as they are taken; a `DataError` names the line that cannot be used."""
    with open_binary(path) as file:
        first = sum(1 for _ in _header(file, path)) + 1
        for number, raw in enumerate(file, start=first):
            is_record = not raw.startswith(b"#") and raw.strip()
            yield VcfLine(number, raw, _variant(raw, f"{path}:{number}") if is_record else None)


def contig_lengths(header: Sequence[bytes]) -> dict[str, int]:
    """What the header's ##contig lines say, as far as they tell a length."""
    lengths = {}
    for line in header:
        contig, length = _CONTIG.match(line), _LENGTH.search(line)
        if contig and length:
            lengths[_text(contig[1])] = int(length[1])
    return lengths


def with_declarations(header: Sequence[bytes], declared: Sequence[str], *, stale: re.Pattern[str]) -> list[bytes]:
    """The header with lines added before "#CHROM …"; those that `stale` matches are left out."""
    kept = [line for line in header[:-1] if not stale.match(_text(line))]
    end = _end(header[-1]) or _end(header[0]) or b"\n"
    return [*kept, *(line.encode("utf-8", "surrogateescape") + end for line in declared), header[-1]]


def with_info(raw: bytes, added: Mapping[str, str | None], *, stale: re.Pattern[str]) -> bytes:
    """A record with entries added to its INFO, a flag being None; entries whose name `stale` matches are left out.

    Everything else keeps its bytes, so that taking the added entries out again gives the line that was read.
    """
    end = _end(raw)
    columns = raw[: len(raw) - len(end)].split(b"\t", NUM_COLUMNS)
    info = columns[_INFO]
    entries = info.split(b";")
    kept = [entry for entry in entries if not stale.fullmatch(_text(entry.partition(b"=")[0]))]
    if len(kept) < len(entries):
        info = b";".join(kept)
    more = ";".join(key if value is None else f"{key}={value}" for key, value in added.items())
    if more:
        between = b"" if info.endswith(b";") or info in (b"", b".") else b";"
        info = (b"" if info == b"." else info) + between + more.encode("utf-8", "surrogateescape")
    columns[_INFO] = info or b"."
    return b"\t".join(columns) + end


def has_entries(raw: bytes, wanted: re.Pattern[str]) -> bool:
    """Whether a record's INFO has entries whose name `wanted` matches."""
    info = raw.split(b"\t", NUM_COLUMNS)[_INFO].rstrip(b"\r\n")
    return any(wanted.fullmatch(_text(entry.partition(b"=")[0])) for entry in info.split(b";"))


def check_kind(path: Path) -> None:
    """Raise, before any work is done, when a file of this name could not be written as its ending says."""
    if path.suffix == ".bcf":
        raise InputError(f"{path.name}: BCF is not written; name a file that ends in .vcf or .vcf.gz")
    if path.suffix in _COMPRESSED:
        _pysam(path)


@contextmanager
def vcf_writer(temporary: Path, *, target: Path) -> Iterator[IO[bytes]]:
    """Write to `temporary` what shall become `target`: bgzip when that ends in .gz or .bgz, which tabix can index."""
    if target.suffix in _COMPRESSED:
        with _pysam(target).BGZFile(str(temporary), "wb") as packed:
            yield packed
    else:
        with temporary.open("wb") as file:
            yield file


def encoded(text: str) -> str:
    """Text as a value of INFO may hold it: reserved characters as %3B and so on (VCF 4.3, section 1.0.2)."""
    return re.sub(r"[%:;=,\s\"\\]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def quoted(text: str) -> str:
    """Text as a quoted value of a header line."""
    return '"' + re.sub(r"[\r\n]+", " ", text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pysam(path: Path) -> ModuleType:
    return require("pysam", extra="dna", purpose=f"writing {path.name} as bgzip")


def _header(file: IO[bytes], path: Path) -> Iterator[bytes]:
    number = 0
    for number, line in enumerate(file, start=1):
        if number == 1:
            _check_first_line(line, path)
        if not line.startswith(b"#"):
            raise DataError(
                f"{path}:{number}: a record stands before the line that begins with '#CHROM'. Is this a VCF file?"
            )
        yield line
        if line.startswith(b"#CHROM"):
            return
    if number == 0:
        raise DataError(f"{path} is empty; a VCF file begins with a line such as '##fileformat=VCFv4.2'")
    raise DataError(f"{path} has no line that begins with '#CHROM', which ends the header of a VCF file")


def _check_first_line(line: bytes, path: Path) -> None:
    if line.startswith(b"BCF"):
        raise DataError(f"{path} is BCF; turn it into VCF first: bcftools view {path} -Oz -o {path.stem}.vcf.gz")
    if line.startswith(_BOM):
        raise DataError(f"{path}:1: the file begins with a byte-order mark; save it as plain text without one")
    if b"\0" in line:
        raise DataError(f"{path}:1: this is a binary file, not VCF")


def _variant(raw: bytes, source: str) -> Variant:
    columns = raw.rstrip(b"\r\n").split(b"\t", NUM_COLUMNS)
    if len(columns) < NUM_COLUMNS:
        hint = ". They seem to be separated by spaces" if len(raw.split()) >= NUM_COLUMNS else ""
        raise DataError(
            f"{source}: a VCF record has at least {NUM_COLUMNS} columns separated by tabs, got {len(columns)}{hint}"
        )
    contig, position, name, ref, alts = map(_text, columns[:5])
    if not re.fullmatch(r"[0-9]{1,18}", position):
        raise DataError(f"{source}: POS must be a whole number counted from 1, got {position!r}")
    if b"\0" in raw:
        raise DataError(f"{source}: the line holds a byte of value 0, as binary files do")
    return Variant(contig, int(position), ref, tuple(alts.split(",")), name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # any bytes come back as they were


def _end(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:17]}… ({len(allele)} letters)"
