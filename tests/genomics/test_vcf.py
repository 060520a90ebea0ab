"""VCF files keep their bytes; what cannot be read is told with its line."""

import gzip
import re

import pytest

from bigbird.data.files import is_bgzip
from bigbird.errors import DataError, InputError, MissingDependency
from bigbird.genomics import vcf
from bigbird.genomics.vcf import (
    Variant,
    check_kind,
    contig_lengths,
    encoded,
    has_entries,
    quoted,
    read_header,
    read_lines,
    vcf_writer,
    with_declarations,
    with_info,
)

STALE = re.compile(r"OURS_\w+")
STALE_HEADER = re.compile(r"##INFO=<ID=OURS_\w+,")
HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
RECORD = "chr1\t5\trs1\tA\tC,<DEL>\t.\t.\tDP=3\n"


def written(folder, text, name="in.vcf"):
    path = folder / name
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["in.vcf", "in.vcf.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_header_and_lines_together_are_the_file_byte_for_byte(tmp_path, name, end):
    text = (HEADER + RECORD + "\n# a remark\n" + RECORD).replace("\n", end).removesuffix(end)
    path = written(tmp_path, text, name)
    lines = list(read_lines(path))
    assert b"".join((*read_header(path), *(line.raw for line in lines))) == text.encode()
    assert [line.number for line in lines] == [3, 4, 5, 6]
    variant = Variant("chr1", 5, "A", ("C", "<DEL>"), "rs1")
    assert [line.variant for line in lines] == [variant, None, None, variant]


def test_bytes_that_are_no_text_are_kept(tmp_path):
    raw = b"chr1\t5\tr\xff\tA\tC\t.\t.\tX=\xfe"
    (line,) = read_lines(written(tmp_path, HEADER.encode() + raw))
    assert with_info(line.raw, {"OURS_X": "1"}, stale=STALE) == raw + b";OURS_X=1"


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("DP=3", "DP=3;OURS_A=1;OURS_B"),
        (".", "OURS_A=1;OURS_B"),
        ("", "OURS_A=1;OURS_B"),
        ("DP=3;", "DP=3;OURS_A=1;OURS_B"),
        ("OURS_A=9;DP=3;OURS_OLD=2;FLAG", "DP=3;FLAG;OURS_A=1;OURS_B"),
        ("OURS_A=9", "OURS_A=1;OURS_B"),
        ("NOTOURS_A=9;OURS=1", "NOTOURS_A=9;OURS=1;OURS_A=1;OURS_B"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("rest", ["", "\tGT:DP\t0|1:3\t./."])
def test_info_is_added_to_and_all_else_stays(info, expected, end, rest):
    before = "chr1\t5\t.\tA\tC\t1e-3\tq10;s50\t"
    raw = f"{before}{info}{rest}{end}".encode()
    added = {"OURS_A": "1", "OURS_B": None}
    assert with_info(raw, added, stale=STALE) == f"{before}{expected}{rest}{end}".encode()
    assert has_entries(raw, STALE) == ("OURS_" in info.replace("NOTOURS_", ""))


def test_an_info_of_nothing_but_an_earlier_run_is_empty_without_it():
    raw = b"1\t5\t.\tA\tC\t.\t.\tOURS_A=1\n"
    assert with_info(raw, {}, stale=STALE) == b"1\t5\t.\tA\tC\t.\t.\t.\n"


@pytest.mark.parametrize(("end", "last"), [("\n", "\n"), ("\r\n", "\r\n"), ("\n", "")])
def test_declarations_stand_before_the_last_line_of_the_header(end, last):
    old = "##INFO=<ID=OURS_A,Number=1>" + end
    header = [f"##one{end}".encode(), old.encode(), b"#CHROM\tPOS" + last.encode()]
    lines = with_declarations(header, ["##INFO=<ID=OURS_B,Number=A>"], stale=STALE_HEADER)
    assert lines == [header[0], f"##INFO=<ID=OURS_B,Number=A>{end}".encode(), header[2]]


def test_lengths_of_contigs_are_read_where_they_are_told():
    header = [
        b"##contig=<ID=chr1,length=3000>\n",
        b"##contig=<length=7,ID=chr2,assembly=x>\r\n",
        b"##contig=<ID=chr3,assembly=x>\n",
        b"##contig=<ID=HLA-A*01:01,length=9>\n",
    ]
    assert contig_lengths(header) == {"chr1": 3_000, "chr2": 7, "HLA-A*01:01": 9}


def test_values_and_descriptions_hold_nothing_vcf_forbids():
    assert encoded("a;b=c,d e:f%\tg") == "a%3Bb%3Dc%2Cd%20e%3Af%25%09g"
    assert quoted('say "x\\y"\nno') == '"say \\"x\\\\y\\" no"'


FAULTS = {
    "nothing": (b"", r"in\.vcf is empty; a VCF file begins with a line such as '##fileformat=VCFv4\.2'"),
    "no header": (RECORD.encode(), r"in\.vcf:1: a record stands before the line that begins with '#CHROM'\. Is this a"),
    "an unfinished header": (b"##fileformat=VCFv4.2\n", r"in\.vcf has no line that begins with '#CHROM', which ends"),
    "BCF": (b"BCF\2\2...", r"in\.vcf is BCF; turn it into VCF first: bcftools view .*in\.vcf -Oz -o in\.vcf\.gz"),
    "a byte-order mark": (b"\xef\xbb\xbf##x\n", r"in\.vcf:1: the file begins with a byte-order mark; save it as plain"),
    "a binary file": (b"\1\0\2", r"in\.vcf:1: this is a binary file, not VCF"),
    "too few columns": (f"{HEADER}chr1\t5\n".encode(), r"in\.vcf:3: .* at least 8 columns separated by tabs, got 2$"),
    "spaces": (
        f"{HEADER}{RECORD}".replace("\t", " ").encode(),
        r"in\.vcf:3: .* tabs, got 1\. They seem to be separated by spaces",
    ),
    "a place in words": (
        f"{HEADER}{RECORD}".replace("\t5\t", "\t5e3\t").encode(),
        r"in\.vcf:3: POS must be a whole number counted from 1, got '5e3'",
    ),
    "a place below 0": (f"{HEADER}{RECORD}".replace("\t5\t", "\t-5\t").encode(), r"in\.vcf:3: POS must be .*'-5'"),
    "a zero byte": (
        HEADER.encode() + b"chr1\t5\t.\tA\tC\t.\t.\tX=\0\n",
        r"in\.vcf:3: the line holds a byte of value 0, as binary files do",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_vcf_is_told_with_its_line(tmp_path, fault):
    data, message = FAULTS[fault]
    path = written(tmp_path, data)
    with pytest.raises(DataError, match=message):
        read_header(path), list(read_lines(path))


def test_a_file_cut_off_is_told(tmp_path):
    path = tmp_path / "cut.vcf.gz"
    path.write_bytes(gzip.compress((HEADER + RECORD * 1_000).encode())[:-9])
    with pytest.raises(DataError, match=r"cut\.vcf\.gz ends in the middle of its gzip data"):
        list(read_lines(path))


def test_without_pysam_a_compressed_file_is_refused_and_a_plain_one_written(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pysam", None)
    check_kind(tmp_path / "out.vcf")
    missing = r"writing out\.vcf\.gz as bgzip needs pysam, which is not installed\. Run: pip install 'bigbird\[dna\]'"
    with pytest.raises(MissingDependency, match=missing):
        check_kind(tmp_path / "out.vcf.gz")
    with pytest.raises(MissingDependency, match=missing), vcf_writer(tmp_path / "x", target=tmp_path / "out.vcf.gz"):
        pass


def test_bcf_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"out\.bcf: BCF is not written; name a file that ends in \.vcf or \.vcf\.gz"):
        check_kind(tmp_path / "out.bcf")


@pytest.mark.parametrize("ending", ["gz", "bgz"])
def test_a_compressed_file_is_bgzip_with_its_last_block(tmp_path, ending):
    pytest.importorskip("pysam")
    with vcf_writer(tmp_path / "part", target=tmp_path / f"out.vcf.{ending}") as file:
        file.write(HEADER.encode())
    assert is_bgzip(tmp_path / "part")
    assert read_header(tmp_path / "part") == tuple(HEADER.encode().splitlines(keepends=True))  # refuses a cut-off one


def test_long_alleles_are_shortened_where_people_read_them():
    assert str(Variant("chr1", 5, "A", ("C", "G"))) == "chr1:5 A>C,G"
    assert str(Variant("chr1", 5, "A" * 30, ("C",))) == f"chr1:5 {'A' * 17}… (30 letters)>C"
    assert vcf.NUM_COLUMNS == 8
