import gzip

import pytest

from bigbird.data.fasta import check_fasta, read_fasta
from bigbird.errors import DataError


def written(tmp_path, content, name="genome.fa"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_records_are_read_whatever_the_line_ends(tmp_path, newline):
    path = written(tmp_path, newline.join([b">one first words", b"ACGT", b"acgtn", b"", b">two", b"GG ", b""]))
    assert list(read_fasta(path)) == [("one", "ACGTacgtn"), ("two", "GG")]


def test_gzip_is_read_as_plain_text_is(tmp_path):
    path = written(tmp_path, gzip.compress(b">one\nACGT\n") + gzip.compress(b"AC\n>two\nG\n"), "genome.fa.gz")
    assert list(read_fasta(path)) == [("one", "ACGTAC"), ("two", "G")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"genome.fa is empty; a FASTA file begins with a line such as '>chr1'"),
        (b"ACGT\n", r"genome.fa:1: a FASTA file begins with a line such as '>chr1', got 'ACGT'"),
        (b"@read1\nACGT\n+\nIIII\n", r"genome.fa:1: this looks like FASTQ; convert it"),
        (b"\xef\xbb\xbf>one\nACGT\n", r"genome.fa:1: the file begins with a byte-order mark"),
        (b"\x7fELF\x02\x01\x00\x00", r"genome.fa:1: this is a binary file, not FASTA"),
        (b">one\nAC\0GT\n", r"genome.fa:2: column 3 holds '\\x00', which is not a DNA letter"),
        (b">one\nACGT\n1 ACGT\n", r"genome.fa:3: column 1 holds '1'"),
        (b">one\nAC GT\n", r"genome.fa:2: column 3 holds ' '"),
        (b">one\nMKLVPE\n", r"genome.fa:2: column 3 holds 'L'"),
        (b">one\nAC>GT\n", r"genome.fa:2: column 3 holds '>'"),
        (b">one\nACGT\n>one\nAC\n", r"genome.fa:3: a record named 'one' stands in the file already"),
        (b">\nACGT\n", r"genome.fa:1: a record needs a name behind '>'"),
        (b">one\n>two\nAC\n", r"genome.fa:2: the record 'one' before this line has no sequence"),
        (b">one\nAC\n>two\n", r"the last record, 'two', has no sequence. Is the file cut off\?"),
        (b">\xff\xfe\nACGT\n", r"genome.fa:1: the header is not UTF-8 text"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path, content, message):
    path = written(tmp_path, content)
    for reading in (check_fasta, lambda path: list(read_fasta(path))):
        with pytest.raises(DataError, match=message):
            reading(path)


@pytest.mark.parametrize("cut", [12, 60])
def test_a_truncated_gzip_is_refused(tmp_path, cut):
    whole = gzip.compress(b">one\n" + b"ACGTTGCAGGATCCA" * 50 + b"\n")
    path = written(tmp_path, whole[: -min(cut, len(whole) - 20)], "genome.fa.gz")
    with pytest.raises(
        DataError, match=r"genome.fa.gz ends in the middle of its gzip data\. Copy or download it again"
    ):
        list(read_fasta(path))


def test_a_gzip_with_a_wrong_checksum_is_refused(tmp_path):
    damaged = bytearray(gzip.compress(b">one\nACGT\n"))
    damaged[-6] ^= 1
    with pytest.raises(DataError, match="is damaged gzip"):
        list(read_fasta(written(tmp_path, bytes(damaged), "genome.fa.gz")))


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_fills_the_memory(tmp_path):
    path = written(tmp_path, gzip.compress(b">one\n" + b"N" * 60 + b"\n" + (b"N" * 60 + b"\n") * 1000), "bomb.fa.gz")
    with pytest.raises(DataError, match=r"bomb.fa.gz holds more than 500 bases.*bgzip.*pip install 'bigbird\[dna\]'"):
        list(read_fasta(path, max_bases=500))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nowhere.fa: No such file"):
        list(read_fasta(tmp_path / "nowhere.fa"))
    with pytest.raises(DataError, match="Is a directory"):
        list(read_fasta(tmp_path))
