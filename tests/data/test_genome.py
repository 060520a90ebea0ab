import gzip
import random
import subprocess
import sys

import pytest

from bigbird.data import genome as genome_module
from bigbird.data.genome import Genome, Window
from bigbird.data.intervals import Interval
from bigbird.errors import DataError

pysam = pytest.importorskip("pysam")

LETTERS = "".join(random.Random(0).choices("ACGTacgtNR", k=500))


def fasta(tmp_path, name="genome.fa"):
    text = "".join(f">{contig}\n{LETTERS[:60]}\n{LETTERS[60:100]}\n" for contig in ("chr1", "chr2"))
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def bgzipped(tmp_path):
    plain = fasta(tmp_path)
    pysam.tabix_compress(str(plain), str(tmp_path / "genome.fa.gz"), force=True)
    plain.unlink()
    return tmp_path / "genome.fa.gz"


@pytest.fixture(params=["plain", "gzip", "bgzip"])
def genome(request, tmp_path):
    if request.param == "bgzip":
        return Genome.open(bgzipped(tmp_path))
    return Genome.open(fasta(tmp_path, "genome.fa" if request.param == "plain" else "genome.fa.gz"))


def clean(text):
    return text.upper().replace("R", "N")


def test_any_stretch_is_read_alike_from_plain_gzip_and_bgzip(genome):
    assert dict(genome.contigs) == {"chr1": 100, "chr2": 100}
    for start, end in ((0, 100), (0, 1), (99, 100), (55, 65), (60, 61)):
        assert genome.window(Interval("chr2", start, end)).sequence == clean(LETTERS[start:end])


def test_lower_case_is_the_same_base_and_ambiguity_codes_become_n_and_are_counted(genome):
    window = genome.window(Interval("chr1", 0, 100))
    assert window.num_ambiguous == LETTERS[:100].count("R")
    assert set(window.sequence) == set("ACGTN")


def test_a_window_over_the_ends_is_filled_with_n_and_reported(genome):
    assert genome.window(Interval("chr1", -3, 2)) == Window("NNN" + clean(LETTERS[:2]), 3, LETTERS[:2].count("R"))
    assert genome.window(Interval("chr1", 98, 105)).sequence == clean(LETTERS[98:100]) + "NNNNN"
    assert genome.window(Interval("chr1", -2, 103)).num_padded == 5
    assert genome.window(Interval("chr1", 200, 203)) == Window("NNN", 3, 0)
    assert genome.window(Interval("chr1", -5, -2)) == Window("NNN", 3, 0)


def test_the_minus_strand_is_the_reverse_complement(genome):
    forward = genome.window(Interval("chr1", 10, 40)).sequence
    assert genome.window(Interval("chr1", 10, 40, "-")).sequence == forward[::-1].translate(
        str.maketrans("ACGT", "TGCA")
    )


def test_lines_of_uneven_length_are_read_into_memory_with_and_without_pysam(tmp_path, caplog, capfd):
    path = tmp_path / "genome.fa"
    path.write_text(">one\nACGT\nAC\nACGT\n")
    genome = Genome.open(path)
    assert genome.window(Interval("one", 3, 8)).sequence == "TACAC"
    assert f"{path} cannot be indexed, most often as its lines differ in length, and is read into memory" in caplog.text
    assert capfd.readouterr().err == ""  # htslib prints lines of its own unless told not to
    assert in_python_without_pysam(path, "one", 3, 8).stdout.strip() == "TACAC"


def test_bgzip_cut_between_two_blocks_is_no_genome(tmp_path):
    path = bgzipped(tmp_path)
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(DataError, match=r"genome.fa.gz is cut off: the block that ends a bgzip file is missing"):
        Genome.open(path)


def test_several_files_are_one_genome_unless_names_clash(tmp_path):
    one, two = tmp_path / "one.fa", tmp_path / "two.fa"
    one.write_text(">a\nAAAA\n")
    two.write_text(">b\nCC\n")
    genome = Genome.open(one, two)
    assert genome.contigs == {"a": 4, "b": 2}
    assert genome.window(Interval("b", 0, 2)).sequence == "CC"
    two.write_text(">a\nCC\n")
    (tmp_path / "two.fa.fai").unlink()
    with pytest.raises(DataError, match="two.fa has a contig 'a' that another of the files has too"):
        Genome.open(one, two)


def test_an_unknown_contig_is_named_with_those_there_are(genome):
    with pytest.raises(DataError, match=r"has no contig 'chrX'; it has chr1, chr2"):
        genome.window(Interval("chrX", 0, 5))


def in_python_without_pysam(path, contig, start, end):
    code = (
        "import sys; sys.modules['pysam'] = None\n"
        "from bigbird.data.genome import Genome; from bigbird.data.intervals import Interval\n"
        f"print(Genome.open({str(path)!r}).window(Interval({contig!r}, {start}, {end})).sequence)"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_without_pysam_a_genome_is_read_into_memory_and_that_is_said(tmp_path):
    path = bgzipped(tmp_path)
    done = in_python_without_pysam(path, "chr2", 55, 65)
    assert done.stdout.strip() == clean(LETTERS[55:65])
    assert f"pysam is not installed, so {path} is read into memory" in done.stderr
    assert "pip install 'bigbird[dna]'" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["genome.fa.gz"]


def test_that_pysam_is_missing_is_said_once_for_all_files(tmp_path, monkeypatch, caplog):
    paths = [tmp_path / name for name in ("one.fa", "two.fa", "three.fa.gz")]
    for number, path in enumerate(paths):
        text = f">c{number}\nACGT\n".encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    monkeypatch.setattr(genome_module.importlib.util, "find_spec", lambda name: None)
    assert Genome.open(*paths).contigs == {"c0": 4, "c1": 4, "c2": 4}
    (record,) = caplog.records
    assert f"so {paths[0]}, {paths[1]} is read into memory" in record.message  # gzip always is
