import pytest

from bigbird.data.records import read_records
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.negatives import Reach
from bigbird.genomics.promoter_sets import PromoterSetConfig, promoter_set
from bigbird.genomics.window_sets import open_window_set, write_window_set

SITES = """\
chr1\t3000\t3001\ta\t0\t+
chr1\t20000\t20001\tb\t0\t-
chr1\t20300\t20301\tc\t0\t+
chr1\t20300\t20301\td\t0\t+
chr1\t100100\t100101\te\t0\t+
chr1\t199900\t199901\tf\t0\t+
chr2\t60000\t60001\tg\t0\t-
chr2\t90000\t90001\th\t0\t+
"""


@pytest.fixture
def config(tmp_path, fasta):
    (tmp_path / "sites.bed").write_text(SITES)

    def make(**changes):
        values = {
            "genomes": (fasta,),
            "sites": tmp_path / "sites.bed",
            "regions": {"train": ["chr1"], "validation": ["chr2"]},
            "reach": Reach(before_bp=249, after_bp=51),
            "negatives": "shifted",
        }
        return PromoterSetConfig(**values | changes)

    return make


def test_promoters_and_their_negatives_by_part(config, genome):
    made = promoter_set(config())
    train, validation = made.parts["train"], made.parts["validation"]
    assert [one.record.name for one in validation] == ["g", "h", "g shifted", "h shifted"]
    assert [one.kind for one in validation] == ["promoter", "promoter", "shifted", "shifted"]
    assert [one.record.labels for one in validation] == [("promoter",), ("promoter",), ("background",), ("background",)]
    assert {one.record.interval.contig for one in train} == {"chr1"}
    first = train[0].record
    assert (first.interval.start, first.interval.end, first.interval.strand) == (2_751, 3_051, "+")
    assert first.sequence == genome.window(first.interval).sequence
    assert made.settings["left_out"]["train"] == {
        "given twice": 1,
        "window reaches beyond the part": 0,
        "window holds N": 1,
        "no negative found": 0,
    }
    b, c = (one.locus for one in train if one.record.name in ("b", "d"))
    assert b == c  # their windows share bases
    assert made.notes == ()


def test_the_same_seed_gives_the_same_set_and_another_another(config):
    assert promoter_set(config()) == promoter_set(config())
    assert promoter_set(config(seed=1)).parts != promoter_set(config()).parts


def test_a_window_that_would_leave_its_part_is_left_out(config):
    made = promoter_set(config(regions={"train": ["chr1:2,900-60,000"]}))
    assert made.settings["left_out"]["train"]["window reaches beyond the part"] == 1
    assert "a" not in {one.record.name for one in made.parts["train"]}


@pytest.mark.parametrize("negatives", ["substitution", "permutation", "dinucleotide-shuffle"])
def test_synthetic_negatives_are_named_as_such_and_keep_their_promoter_s_locus(config, tmp_path, negatives):
    made = promoter_set(config(negatives=negatives))
    assert made.settings["negatives_in_words"].startswith("synthetic: ")
    assert "synthetic" in made.notes[0]
    validation = made.parts["validation"]
    assert [one.locus for one in validation] == [0, 1, 0, 1]
    write_window_set(tmp_path / "set", made)
    records = read_records(tmp_path / "set/validation.tsv")  # needs no genome
    assert [record.sequence for record in records] == [one.record.sequence for one in validation]
    stored = open_window_set(tmp_path / "set").part("validation")
    assert [(one.kind, one.locus) for one in stored] == [(one.kind, one.locus) for one in validation]


def test_parts_that_share_bases_are_refused(config):
    with pytest.raises(ConfigError, match=r"the regions chr1:1-200,000 and chr1:1-50,000 share bases"):
        promoter_set(config(regions={"train": ["chr1"], "test": ["chr1:1-50000"]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regions": {}}, r"a set needs a part, such as --train chr16 --validation chr22"),
        ({"negatives": "none"}, r"negatives must be one of substitution,"),
        ({"seed": -1}, r"data.seed must be from 0"),
        ({"regions": {"train": ["chr2:1-1000"]}}, r"no start site of .*sites.bed lies in chr2:1-1,000"),
        (
            {"regions": {"train": ["chr2:59500-60500"]}},
            r"no window around a start site in chr2:59,500-60,500 has a shifted pair",
        ),
    ],
)
def test_a_set_that_cannot_be_made_is_refused(config, changes, message):
    with pytest.raises((ConfigError, DataError), match=message):
        promoter_set(config(**changes))
