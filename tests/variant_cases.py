"""A small genome, a VCF file of hard records, and a stand-in for a model, for the tests of variants."""

import re

import numpy as np

from bigbird.data.genome import Genome
from bigbird.tasks import SequenceLabels
from helpers import STRANDED, YES_NO, dna, loaded_model

CHR1 = dna(3_000, 1)
CHR2 = dna(1_000, 2) + "N" * 200 + dna(800, 3)
CHR3 = dna(100, 4) + "R" + dna(99, 5)
CONTIGS = {"chr1": CHR1, "chr2": CHR2, "chr3": CHR3.lower()}

HEADER = (
    "##fileformat=VCFv4.2\n"
    "##contig=<ID=1,length=3000>\n"
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="depth; of all, ""really"""> \n'
    "##source=weird  spacing\tand tabs\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo\n"
)


def base(position, contig="chr1", count=1):
    """The genome's letters from a position counted from 1."""
    return CONTIGS[contig].upper()[position - 1 : position - 1 + count]


def other(letters, step=1):
    """Letters that differ at every place."""
    return "".join("ACGT"[("ACGT".index(letter) + step) % 4] for letter in letters)


def row(contig, position, ref, alt, *, name=".", info="DP=3", rest="GT:DP\t0|1:3\t./.:.", end="\n"):
    return f"{contig}\t{position}\t{name}\t{ref}\t{alt}\t29.5\tPASS\t{info}\t{rest}{end}"


def _snv(position, contig="chr1", **more):
    return row(contig, position, base(position, contig), other(base(position, contig)), **more)


LONG = 900  # longer than the tests' windows

# (record, why each of its ALTs has no score)
HARD = [
    (_snv(500, name="rs1;rs2"), [None]),
    (row("1", 700, base(700), f"{other(base(700))},{other(base(700), 2)}"), [None, None]),
    (_snv(100, info="."), [None]),  # unsorted
    (row("chr1", 100, base(100), other(base(100), 3), info=""), [None]),  # same place, empty INFO
    (_snv(500, name="rs1;rs2"), [None]),  # the very first again
    (row("chr1", 600, base(600, count=3), base(600)), [None]),
    (row("chr1", 600, base(600), f"{base(600)}TTTTTT,{base(600)}G"), [None, None]),
    (row("chr1", 610, base(610, count=4), other(base(610, count=4))), [None]),
    (row("chr1", 620, base(620), f"{base(620)}{'ACGT' * (LONG // 4)}"), ["too_long"]),
    (row("chr1", 620, base(620, count=LONG), base(620)), ["too_long"]),
    (row("chr1", 630, base(630).lower(), other(base(630)).lower()), [None]),
    (row("chr1", 640, base(640), f"*,{other(base(640))}"), ["spanning_deletion", None]),
    (row("chr1", 641, base(641), "<DEL>", info="SVTYPE=DEL;END=800"), ["symbolic"]),
    (row("chr1", 642, base(642), f"{base(642)}<ctg1>"), ["symbolic"]),
    (row("chr1", 643, base(643), f"{base(643)}]chr2:55]"), ["breakend"]),
    (row("chr1", 644, base(644), f".{base(644)}"), ["breakend"]),
    (row("chr1", 645, base(645), "."), ["no_alt"]),
    (row("chr1", 646, base(646), "<NON_REF>"), ["symbolic"]),
    (row("chr1", 647, base(647), "R"), ["ambiguous_alt"]),
    (row("chr1", 648, "N", "A"), ["ambiguous_ref"]),
    (row("chr1", 649, base(649), "A-"), ["not_dna"]),
    (row("chr1", 650, base(650), ""), ["not_dna"]),
    (_snv(1), [None]),
    (_snv(3_000), [None]),
    (row("chr1", 2_999, base(2_999, count=2), base(2_999)), [None]),
    (row("chr1", 0, "A", "C"), ["outside_contig"]),
    (row("chr2", 1_100, "A", "C"), ["genome_unknown"]),
    (row("chr2", 1_000, base(1_000, "chr2") + "AC", base(1_000, "chr2")), [None]),  # reaches into N
    (row("chr3", 101, "A", "G"), ["genome_unknown"]),  # the genome has R there
    (_snv(50, "chr3"), [None]),  # soft-masked, windows over both ends
    (row("chrUn_1", 5, "A", "C"), ["contig_missing"]),
    (row("chr1", 660, base(660), other(base(660)), info="DP=3;"), [None]),
    (row("chr1", 661, base(661), other(base(661)), info="DB;H2;X=a%3Bb,c d"), [None]),
    (row("chr1", 662, base(662), base(662)), [None]),  # ALT is REF
    (_snv(663, rest="GT:DP\t0|1:3\tcaf\N{LATIN SMALL LETTER E WITH ACUTE}:."), [None]),
]

HARD_VCF = HEADER + "".join(record for record, _ in HARD)


def write_genome(folder):
    path = folder / "genome.fa"
    path.write_text("".join(f">{name} words\n{sequence}\n" for name, sequence in CONTIGS.items()))
    return path


def genome_in(folder):
    return Genome.open(write_genome(folder))


class Letters:
    """A stand-in for a predictor: the shares of A and of T in a sequence, and where they stand it cannot matter."""

    def __init__(self, task=STRANDED):
        self.loaded = loaded_model(task)
        self.seen = []

    def predict(self, records):
        for record in records:
            self.seen.append(record.sequence)
            shares = [record.sequence.count(letter) / len(record.sequence) for letter in "AT"]
            yield SequenceLabels((), np.array(shares))


def tiny_models():
    """One that answers base by base and one that answers once, both small."""
    return {"tokens": loaded_model(STRANDED), "windows": loaded_model(YES_NO)}


def without_ours(data, prefix="BIGBIRD"):
    """The lines of an annotated file with what was added taken out again; of INFO its entries alone are compared."""
    name = prefix.encode()
    kept = []
    for line in data.splitlines(keepends=True):
        if re.match(rb"##INFO=<ID=%b_|##%b_variants=" % (name, name), line):
            continue
        if line.startswith(b"#") or not line.strip():
            kept.append(line)
            continue
        columns = line.rstrip(b"\r\n").split(b"\t")
        entries = [entry for entry in columns[7].split(b";") if entry not in (b"", b".")]
        columns[7] = [entry for entry in entries if not entry.startswith(name + b"_")]
        kept.append((columns, line[len(line.rstrip(b"\r\n")) :]))
    return kept
