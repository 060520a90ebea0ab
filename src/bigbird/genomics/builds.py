"""Which assembly a genome is, told by the lengths of its contigs."""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN = "unknown"

_LENGTHS = {  # of UCSC's chromosomes; each length belongs to one assembly alone
    "hg38": {
        "chr1": 248_956_422,
        "chr16": 90_338_345,
        "chr19": 58_617_616,
        "chr20": 64_444_167,
        "chr21": 46_709_983,
        "chr22": 50_818_468,
    },
    "hg19": {
        "chr1": 249_250_621,
        "chr16": 90_354_753,
        "chr19": 59_128_983,
        "chr20": 63_025_520,
        "chr21": 48_129_895,
        "chr22": 51_304_566,
    },
    "mm10": {"chr1": 195_471_971, "chr19": 61_431_566},
    "sacCer3": {"chrI": 230_218, "chrII": 813_184, "chrXII": 1_078_177},
}


def build_of(contigs: Mapping[str, int]) -> str:
    """The assembly's name at UCSC when a contig's name and length tell it, else "unknown"."""
    for build, lengths in _LENGTHS.items():
        for name, length in lengths.items():
            if length in (contigs.get(name), contigs.get(name.removeprefix("chr"))):
                return build
    return UNKNOWN
