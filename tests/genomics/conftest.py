import random

import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.genomics.promoters import Sites

LENGTH = 200_000


def striped(seed):
    """DNA whose share of G and C changes every 5,000 bases, with a stretch of N."""
    generator = random.Random(seed)
    pieces = []
    for _ in range(LENGTH // 5000):
        gc = generator.choice((2, 3, 4, 5))
        pieces.append("".join(generator.choices("ACGT", weights=(7 - gc, gc, gc, 7 - gc), k=5000)))
    text = "".join(pieces)
    return text[:100_000] + "N" * 1000 + text[101_000:]


@pytest.fixture(scope="session")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text("".join(f">chr{number}\n{striped(number)}\n" for number in (1, 2)))
    return path


@pytest.fixture(scope="session")
def genome(fasta):
    return Genome.open(fasta)


@pytest.fixture(scope="session")
def sites():
    promoters = [
        Interval("chr1", place, place + 1, strand, f"gene{place}")
        for place, strand in ((3_000, "+"), (20_000, "-"), (21_000, "+"), (60_000, "-"), (199_500, "+"))
    ]
    return Sites(promoters, [Interval("chr1", 62_000, 62_001, "+"), Interval("chr2", 50_000, 50_001, "-")])
