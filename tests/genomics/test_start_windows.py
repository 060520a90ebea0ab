"""A window stands on its start site to the base, on either strand."""

import gzip
import os
from pathlib import Path

import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import ConfigError
from bigbird.genomics.negatives import Reach
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoters import around, centred

GENOMICS = os.environ.get("BIGBIRD_GENOMICS")  # a folder with human_grch38_chr16, …, epdnew_human_tss

#           0123456789
LETTERS = "ACGTTGCAAT"


@pytest.fixture
def ten(tmp_path):
    (tmp_path / "ten.fa").write_text(f">chr1\n{LETTERS}\n")
    return Genome.open(tmp_path / "ten.fa")


@pytest.mark.parametrize(
    ("place", "strand", "before", "after", "letters"),
    [
        (4, "+", 1, 3, "TTGC"),  # bases 3 to 6
        (4, "-", 1, 3, "CAAC"),  # bases 5 down to 2, read on the other strand
        (4, "+", 0, 1, "T"),
        (4, "-", 0, 1, "A"),
        (2, "+", 2, 4, "ACGTTG"),
        (7, "-", 2, 4, "ATTGCA"),
        (0, "+", 2, 2, "NNAC"),
        (9, "-", 1, 2, "NAT"),
    ],
)
def test_letters_counted_by_hand(ten, place, strand, before, after, letters):
    window = around(Interval("chr1", place, place + 1, strand), before_bp=before, after_bp=after)
    assert ten.window(window).sequence == letters


def test_the_paper_s_windows():
    for strand, start, end in (("+", 95_000, 103_000), ("-", 97_001, 105_001)):
        window = around(Interval("chr1", 100_000, 100_001, strand), before_bp=5_000, after_bp=3_000)
        assert (window.start, window.end) == (start, end)


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("width", [300, 301])
def test_a_centred_window_is_one_around_its_site(strand, width):
    site = Interval("chr1", 1_000, 1_001, strand)
    assert centred(site, width) == around(site, before_bp=width // 2, after_bp=width - width // 2)


@pytest.mark.parametrize(("before", "after"), [(-1, 10), (10, 0)])
def test_a_window_without_its_site_is_refused(before, after):
    with pytest.raises(ConfigError, match=f"a window must hold its start site: .* got {before} and {after}"):
        Reach(before_bp=before, after_bp=after)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sites.bed", "chr1\t2\t3\ta\t0\t+\nchr1\t7\t8\tb\t0\t-\n"),
        (
            "sites.gtf",
            'chr1\tx\ttranscript\t3\t6\t.\t+\t.\tgene_name "a";\nchr1\tx\ttranscript\t2\t8\t.\t-\t.\tgene_name "b";\n',
        ),
        ("sites.gff3", "1\tx\tmRNA\t3\t6\t.\t+\t.\tName=a\n1\tx\tmRNA\t2\t8\t.\t-\t.\tName=b\n"),
        ("sites.gff3.gz", "1\tx\tgene\t3\t6\t.\t+\t.\tName=a\n1\tx\tgene\t2\t8\t.\t-\t.\tName=b\n"),
    ],
)
def test_bed_gtf_and_gff3_name_the_same_sites(ten, tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    windows = [
        ten.window(around(site, before_bp=2, after_bp=3)).sequence for site in read_sites(ten, str(path), []).promoters
    ]
    assert windows == ["ACGTT", "ATTGC"]


@pytest.mark.skipif(not GENOMICS, reason="set BIGBIRD_GENOMICS to a folder with the genomes and EPDnew")
def test_windows_equal_epd_s_own_sequences_letter_for_letter():
    folder = Path(GENOMICS)
    genome = Genome.open(*(folder / f"human_grch38_chr{name}/chr{name}.fa.gz" for name in (16, 19, 22)))
    epd = folder / "epdnew_human_tss"
    with gzip.open(epd / "hs_pos_TATA_300bp.txt.gz", "rt") as file:
        published = {line.strip() for line in file}
    sites = read_sites(genome, str(epd / "epdnew_human_v006_hg38.bed.gz"), []).promoters
    found = {shift: set() for shift in (-1, 0, 1)}
    for site in sites:
        for shift in found:
            window = around(site, before_bp=249 + shift, after_bp=51 - shift)
            found[shift] |= {genome.window(window).sequence} & published
    assert len(found[0]) == 309  # the published ones of these three chromosomes
    assert not found[-1] | found[1]
    # A site whose middle is a published one's equals it in full, or is a paralogue of it (tryptases, galectin-7, SOX8).
    middles = {sequence[130:170]: sequence for sequence in published}
    windows = [genome.window(around(site, before_bp=249, after_bp=51)).sequence for site in sites]
    comparable = [(window, middles[window[130:170]]) for window in windows if window[130:170] in middles]
    assert (len(comparable), sum(one == other for one, other in comparable)) == (315, 311)
