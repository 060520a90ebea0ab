import json

import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, on_genome, read_records
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.window_sets import (
    SetWindow,
    WindowSet,
    genome_note,
    loci_of,
    open_window_set,
    write_window_set,
)


def window(genome, start, *labels, strand="+", locus=0, kind="promoter"):
    record = on_genome(Interval("chr1", start, start + 300, strand, f"gene{start}"), genome)
    return SetWindow(Record(**{**vars(record), "labels": labels}), kind, locus)


@pytest.fixture
def windows(genome, fasta):
    train = [
        window(genome, 1_000, "promoter"),
        window(genome, 5_000, "background", strand="-", locus=1, kind="shifted"),
    ]
    made_up = SetWindow(Record(sequence="ACGT" * 75, name="filler", labels=("background",)), "substitution", 2)
    return WindowSet(
        what="promoters",
        parts={"validation": [window(genome, 9_000, "promoter", locus=2), made_up], "train": train},
        genome=genome_note([fasta], genome),
        settings={"negatives": "shifted", "seed": 3},
        findings={"leakage": {"lines": ["none"]}},
        notes=("a note",),
    )


def test_a_set_comes_back_as_it_was_written(windows, genome, tmp_path):
    about = write_window_set(tmp_path / "set", windows)
    stored = open_window_set(tmp_path / "set")
    assert stored.about == about
    assert stored.part("train", genome) == windows.parts["train"]
    found = stored.part("validation")  # its letters stand in the table
    assert [one.record.sequence for one in found] == [one.record.sequence for one in windows.parts["validation"]]
    assert [(one.kind, one.locus, one.record.labels) for one in found] == [
        ("promoter", 2, ("promoter",)),
        ("substitution", 2, ("background",)),
    ]
    assert about["parts"]["validation"]["loci"] == 1
    assert about["parts"]["train"]["labels"] == {"background": 1, "promoter": 1}
    assert about["genome"] == {
        "files": ["genome.fa"],
        "build": "unknown",
        "contigs": {"chr1": 200_000, "chr2": 200_000},
    }
    assert list(about["parts"]) == ["train", "validation"]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["set.json", "train.tsv", "validation.tsv"]


def test_its_tables_are_records_for_every_command(windows, genome, tmp_path):
    write_window_set(tmp_path / "set", windows)
    records = read_records(tmp_path / "set/train.tsv", genome=genome)
    assert records == [one.record for one in windows.parts["train"]]
    with pytest.raises(DataError, match="give the genome it lies on with --genome FASTA"):
        open_window_set(tmp_path / "set").part("train")


def test_a_set_with_an_error_half_way_is_not_there(windows, genome, tmp_path):
    broken = {"train": [window(genome, 0, "a;b")]}
    with pytest.raises(DataError, match=r"label 'a;b' holds a ';', which parts labels in a table; rename it"):
        write_window_set(tmp_path / "set", WindowSet(**{**vars(windows), "parts": broken}))
    assert list(tmp_path.iterdir()) == []
    write_window_set(tmp_path / "set", windows)
    with pytest.raises(ConfigError, match="set exists already; give a new folder"):
        write_window_set(tmp_path / "set", windows)


def test_another_genome_is_told(windows, tmp_path):
    write_window_set(tmp_path / "set", windows)
    stored = open_window_set(tmp_path / "set")
    (tmp_path / "short.fa").write_text(f">chr1\n{'ACGT' * 40_000}\n")
    with pytest.raises(DataError, match=r"made from unknown with 200,000 bases in chr1; the genome given has 160,000"):
        stored.part("train", Genome.open(tmp_path / "short.fa"))
    (tmp_path / "other.fa").write_text(f">chr1\n{'ACGT' * 50_000}\n>chr2\n{'ACGT' * 50_000}\n")
    with pytest.raises(DataError, match=r"the letters of .*train.tsv are not those the set was made with"):
        stored.part("train", Genome.open(tmp_path / "other.fa"))
    with pytest.raises(DataError, match=r"has no part 'test'; it has train, validation"):
        stored.part("test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"set.json cannot be read: .* Make the set anew"),
        ("[]", r"set.json must have format 1, got \[\]; this bigbird reads no other"),
        ('{"format": 2}', r"set.json must have format 1, got 2"),
        ('{"format": 1, "what": 3}', r"set.json: 'what' is missing or damaged"),
    ],
)
def test_a_damaged_description_is_told(tmp_path, text, message):
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(DataError, match=message):
        open_window_set(tmp_path)


def test_a_damaged_table_is_told(windows, genome, tmp_path):
    write_window_set(tmp_path / "set", windows)
    table = tmp_path / "set/train.tsv"
    table.write_text(table.read_text().replace("kind", "sort"))
    with pytest.raises(DataError, match=r"train.tsv is damaged \('kind' is not in list\)\. Make the set anew"):
        open_window_set(tmp_path / "set").part("train", genome)


def test_a_folder_without_a_set_is_told(tmp_path):
    with pytest.raises(DataError, match=r"is no window set: it has no set.json. Make one with: bigbird windows --help"):
        open_window_set(tmp_path)


def test_windows_that_share_bases_are_one_locus():
    places = [("chr1", 50, 60), ("chr1", 0, 20), ("chr1", 10, 40), ("chr1", 39, 50), ("chr2", 0, 20)]
    assert loci_of([Interval(*place) for place in places]) == [1, 0, 0, 0, 2]
    assert loci_of([]) == []


def test_the_description_is_plain_json(windows, tmp_path):
    write_window_set(tmp_path / "set", windows)
    about = json.loads((tmp_path / "set/set.json").read_text())
    assert about["what"] == "promoters"
    assert about["notes"] == ["a note"]
