import csv
import json

import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, Span, labels_of, other_strand, read_records, stranded_labels
from bigbird.errors import DataError


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.fixture
def genome(tmp_path):
    return Genome.open(written(tmp_path, "genome.fa", ">chr1\nAACCGGTTAC\n"))


def test_tables_in_three_spellings_hold_the_same_records(tmp_path):
    rows = [{"name": "a", "sequence": "acgt", "label": "x;y"}, {"name": "b", "sequence": "GGN", "label": ""}]
    files = [
        written(tmp_path, "a.csv", "name,sequence,label\na,acgt,x;y\nb,GGN,\n"),
        written(tmp_path, "a.tsv", "name\tsequence\tlabel\na\tacgt\tx;y\nb\tGGN\t\n"),
        written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n"),
    ]
    expected = [Record(name="a", sequence="ACGT", labels=("x", "y")), Record(name="b", sequence="GGN")]
    for path in files:
        assert read_records(path) == expected


def test_fasta_and_bed_are_records_too(tmp_path, genome):
    assert read_records(written(tmp_path, "a.fasta", ">one\nACG\nT\n")) == [Record(name="one", sequence="ACGT")]
    bed = written(tmp_path, "a.bed", "chr1\t1\t4\tsite\t0\t-\nchr1\t8\t10\n")
    assert read_records(bed, genome=genome) == [
        Record(name="site", sequence="GGT", interval=Interval("chr1", 1, 4, "-", "site")),
        Record(name="chr1:9-10", sequence="AC", interval=Interval("chr1", 8, 10)),
    ]


def test_a_table_may_hold_places_labels_and_spans(tmp_path, genome):
    table = 'contig,start,end,strand,label,spans\nchr1,0,4,-,yes,"[[0, 2, ""site""]]"\n'
    (record,) = read_records(written(tmp_path, "a.csv", table), genome=genome)
    assert (record.sequence, record.labels, record.spans) == ("GGTT", ("yes",), (Span(0, 2, "site"),))


def test_ambiguity_codes_are_counted_aloud(tmp_path, genome, caplog):
    read_records(written(tmp_path, "a.csv", "sequence\nACRT\nYY\n"))
    assert "a.csv: 3 ambiguity codes were read as N" in caplog.text
    caplog.clear()
    read_records(written(tmp_path, "b.bed", "chr1\t0\t4\n"), genome=genome)
    assert not caplog.records


def test_a_record_without_a_name_is_called_by_its_line(tmp_path):
    path = written(tmp_path, "a.csv", "sequence\nACGT\n")
    assert read_records(path)[0].name == f"{path}:2"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "ACGT", r"a.txt: cannot tell the format from the name; it must end in .fa, .fasta, .fna, .bed, .csv"),
        ("a", "ACGT", r"cannot tell the format"),
        ("a.bed", "chr1\t0\t4", r"a.bed holds places, not sequences; give the genome they lie on with --genome FASTA"),
        ("a.csv", "contig,start,end\nchr1,0,4\n", r"a.csv:2 names a place, not a sequence; give the genome"),
        (
            "a.csv",
            "text\nACGT\n",
            r"a.csv:2: a record needs a column 'sequence', or 'contig', 'start' and 'end'; it has",
        ),
        ("a.csv", "sequence,label\nACGT\n", r"a.csv:2: the header has 2 columns, this line 1"),
        ("a.csv", "sequence\n", r"a.csv holds no records"),
        ("a.csv", "sequence,label\n,x\n", r"a.csv:2: the sequence is empty"),
        ("a.csv", 'name,sequence\n"a,ACGT\n', r"a.csv:2: a cell begins with a quote that does not end properly"),
        ("a.csv", "sequence\nACXT\n", r"a.csv:2: 'X' at position 3 is not a DNA letter"),
        ("a.jsonl", '{"sequence": "ACGT"\n', r"a.jsonl:1: not valid JSON"),
        ("a.jsonl", '["ACGT"]\n', r"a.jsonl:1: each line must be a JSON object"),
        ("a.jsonl", '{"sequence": 5}\n', r"a.jsonl:1: the sequence is empty"),
        ("a.jsonl", '{"sequence": "A", "label": 1.5}\n', r"a.jsonl:1: label must be text, a whole number or a list"),
        ("a.jsonl", '{"sequence": "A", "spans": [[0, 1]]}\n', r"spans must be a list of \[start, end, label\]"),
        ("a.jsonl", '{"sequence": "A", "spans": [[1, 1, "x"]]}\n', r"a span needs 0 <= start < end"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        read_records(written(tmp_path, name, text))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1,0,11,+", r"chr1:0-11 strand \+ is no place on the genome"),
        ("chr1,4,4,+", r"is no place"),
        ("chr1,0,4,x", r"strand x is no place"),
        ("chr2,0,4,+", r"a.csv: the genome has no contig chr2; it has chr1\. Is it the same assembly\?"),
        ("chr1,a,4,+", r"start and end must be whole numbers"),
    ],
)
def test_a_place_off_the_genome_is_refused(tmp_path, genome, row, message):
    path = written(tmp_path, "a.csv", f"contig,start,end,strand\n{row}\n")
    with pytest.raises(DataError, match=message):
        read_records(path, genome=genome)


def test_the_other_strand_turns_everything_round():
    record = Record(
        sequence="AACGN", spans=(Span(0, 2, "promoter+"), Span(3, 5, "x")), ignored=((0, 1),), labels=("y-",)
    )
    turned = record.on_other_strand()
    assert turned.sequence == "NCGTT"
    assert turned.spans == (Span(3, 5, "promoter-"), Span(0, 2, "x"))
    assert turned.ignored == ((4, 5),)
    assert turned.labels == ("y+",)
    assert turned.on_other_strand() == record


def test_only_a_sign_at_the_end_of_a_name_names_a_strand():
    labels = ("a+", "a-", "a", "a+b", "", "+", "-", "++")
    assert [other_strand(label) for label in labels] == ["a-", "a+", "a", "a+b", "", "+", "-", "+-"]


def test_labels_name_a_strand_when_both_occur():
    assert stranded_labels(["+", "-"]) == frozenset()
    assert stranded_labels(["CD4+", "CD8+", "CD8-", "none"]) == {"CD8+", "CD8-"}


def test_a_turned_record_keeps_labels_that_are_not_said_to_name_a_strand():
    record = Record(sequence="ACG", labels=("x+", "y+"), spans=(Span(0, 1, "x+"), Span(0, 1, "y+")))
    turned = record.on_other_strand(stranded={"x+", "x-"})
    assert turned.labels == ("x-", "y+")
    assert [span.label for span in turned.spans] == ["x-", "y+"]


def test_labels_of_records_are_those_of_sequences_and_spans_in_order():
    records = [Record(sequence="A", labels=("b",)), Record(sequence="A", spans=(Span(0, 1, "a"), Span(0, 1, "b")))]
    assert labels_of(records) == ("a", "b")


@pytest.mark.parametrize(
    ("label", "labels"), [("a;", ("a",)), (" ", ()), (" ; ", ()), ("", ()), (";a; b", ("a", "b")), ("0", ("0",))]
)
def test_empty_labels_are_none(tmp_path, label, labels):
    assert read_records(written(tmp_path, "a.csv", f"sequence,label\nAC,{label}\n"))[0].labels == labels
    line = json.dumps({"sequence": "AC", "label": [part.strip() for part in label.split(";")]})
    assert read_records(written(tmp_path, "a.jsonl", line))[0].labels == labels


def test_a_table_with_a_byte_order_mark_is_read(tmp_path):
    (record,) = read_records(written(tmp_path, "a.csv", "\ufeffsequence,label\nACGT,x\n"))
    assert (record.sequence, record.labels) == ("ACGT", ("x",))


def test_a_sequence_may_be_longer_than_python_s_limit_for_cells(tmp_path):
    limit = csv.field_size_limit()
    (record,) = read_records(written(tmp_path, "a.tsv", f"name\tsequence\na\t{'ACGTA' * 100_000}\n"))
    assert len(record.sequence) == 500_000
    assert csv.field_size_limit() == limit  # other users of the module keep theirs


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_contigs_in_tables_are_named_as_people_like_and_that_is_said_once(tmp_path, genome, caplog, name):
    rows = [{"contig": "1", "start": start, "end": start + 2} for start in (0, 4)]
    lines = ["contig,start,end", *(",".join(map(str, row.values())) for row in rows)]
    text = "\n".join(lines if name == "a.csv" else map(json.dumps, rows))
    records = read_records(written(tmp_path, name, text), genome=genome)
    assert [record.interval for record in records] == [Interval("chr1", 0, 2), Interval("chr1", 4, 6)]
    assert caplog.text.count("names contigs unlike the genome; read as: 1 -> chr1") == 1


def test_a_row_with_a_sequence_may_name_any_contig(tmp_path, genome):
    path = written(tmp_path, "a.csv", "contig,sequence\nelsewhere,ACG\n")
    assert read_records(path, genome=genome)[0].sequence == "ACG"
