"""A genome as documents: every known base once a walk, nothing held out among what is trained on."""

import pytest

from bigbird.data.genome_documents import GenomeWalk, contig_of, genome_documents
from bigbird.data.intervals import parse_region
from bigbird.errors import ConfigError, DataError
from helpers import dna

LEFT, RIGHT = dna(230_000, 1), dna(90_000, 2)
CONTIG = "N" * 3000 + LEFT + "N" * 60 + RIGHT + "N" * 40 + "ACGT" + "N" * 100
FIRST = (3000, 3000 + len(LEFT))
SECOND = (FIRST[1] + 60, FIRST[1] + 60 + len(RIGHT) + 44)  # a run of 40 N is read


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{CONTIG}\n>chr2\n{dna(60_000, 3)}\n")
    return path


def pieces(fasta, **walk):
    """(contig, start, end, held out) of each document; its bases are those of its name."""
    found = []
    contigs = {"chr1": CONTIG, "chr2": dna(60_000, 3)}
    for piece in genome_documents(fasta, GenomeWalk(**walk)):
        place = parse_region(piece.name.partition(" ")[0], {name: len(bases) for name, bases in contigs.items()})
        assert contigs[place.contig][place.start : place.end] == piece.sequence
        found.append((place.contig, place.start, place.end, piece.held_out))
    return found


def joined(spans):
    """Spans in order, those that touch made one."""
    whole = []
    for start, end in sorted(spans):
        if whole and start == whole[-1][1]:
            whole[-1] = (whole[-1][0], end)
        else:
            whole.append((start, end))
    return whole


def test_one_walk_has_every_known_base_once_in_documents_of_the_papers_length(fasta):
    found = pieces(fasta)
    assert joined((start, end) for contig, start, end, _ in found if contig == "chr1") == [FIRST, SECOND]
    assert joined((start, end) for contig, start, end, _ in found if contig == "chr2") == [(0, 60_000)]
    lengths = [end - start for _, start, end, _ in found if end not in (FIRST[1], SECOND[1], 60_000)]
    assert len(lengths) >= 3
    assert all(25_000 <= length <= 100_500 for length in lengths)
    assert not any(held_out for *_, held_out in found)


def test_several_walks_begin_and_cut_elsewhere(fasta):
    walks = 5
    found = [(start, end) for contig, start, end, _ in pieces(fasta, walks=walks) if contig == "chr2"]
    starts = sorted(start for start, _ in found)[:walks]
    assert len(set(starts)) == walks
    assert all(0 <= start < 5000 for start in starts)
    assert sum(end - start for start, end in found) == 60_000 * walks - sum(starts)
    assert pieces(fasta, walks=2, seed=1) != pieces(fasta, walks=2, seed=2)
    assert pieces(fasta, walks=2) == pieces(fasta, walks=2)


def test_what_is_held_out_is_walked_once_and_shares_no_base_with_the_rest(fasta):
    hold_out = ("chr1:50,001-120,000", "chr1:100,001-130,000", "chr2")
    found = pieces(fasta, walks=3, hold_out=hold_out)
    held = [(contig, start, end) for contig, start, end, is_out in found if is_out]
    assert joined((start, end) for contig, start, end in held if contig == "chr1") == [(50_000, 130_000)]
    assert joined((start, end) for contig, start, end in held if contig == "chr2") == [(0, 60_000)]
    assert sum(end - start for _, start, end in held) == 80_000 + 60_000
    for contig, start, end, is_out in found:
        assert is_out or (contig == "chr1" and (end <= 50_000 or start >= 130_000))


def test_only_the_regions_named_are_read_and_what_is_held_out(fasta):
    found = pieces(fasta, regions=("chr1:1-20,000",), hold_out=("chr2:1-30,000",))
    assert found == [("chr1", 3000, 20_000, False), ("chr2", 0, 30_000, True)]


def test_a_contigs_name_may_hold_a_colon():
    assert contig_of("HLA:1:5-9", {"HLA:1"}) == "HLA:1"
    assert contig_of("HLA:1", {"HLA:1", "HLA"}) == "HLA:1"
    assert contig_of("chr1:1-5", {"chr2"}) is None


def test_what_cannot_be_is_told(fasta):
    with pytest.raises(ConfigError, match="walks must be from 1 to 1000, got 0"):
        GenomeWalk(walks=0)
    with pytest.raises(DataError, match=r"region 'chr2:1-60,001' must satisfy 1 <= start <= end <= 60000"):
        pieces(fasta, hold_out=("chr2:1-60,001",))
