import logging
import os
import random
import subprocess
import sys
from tempfile import TemporaryDirectory

import pytest

from bigbird.data import fasta_index
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import DataError

pysam = pytest.importorskip("pysam")


def text_of(seed, *, contigs=("chr1", "chr2"), width=60, length=150, newline="\n"):
    generator = random.Random(seed)
    lines = []
    for contig in contigs:
        sequence = "".join(generator.choices("ACGT", k=length))
        lines += [f">{contig} of {seed}", *(sequence[start : start + width] for start in range(0, length, width))]
    return newline.join([*lines, ""])


def sequences(text):
    records = [record.split("\n") for record in text.replace("\r", "").split(">")[1:]]
    return {lines[0].split()[0]: "".join(lines[1:]) for lines in records}


def read(path):
    genome = Genome.open(path)
    return {contig: genome.window(Interval(contig, 0, length)).sequence for contig, length in genome.contigs.items()}


def write(path, text, *, bgzip=False):
    plain = path.with_suffix(".tmp") if bgzip else path
    plain.write_text(text, newline="")
    if bgzip:
        pysam.tabix_compress(str(plain), str(path), force=True)
        plain.unlink()


@pytest.fixture(params=["genome.fa", "genome.fa.gz"])
def path(request, tmp_path):
    path = tmp_path / request.param
    write(path, text_of(0), bgzip=path.suffix == ".gz")
    return path


def not_beside(**options):
    if "dir" in options:
        raise PermissionError(30, "Read-only file system", str(options["dir"]))
    return TemporaryDirectory(**options)


@pytest.fixture
def unwritable(monkeypatch):
    """Make folders seem unwritable; taking the right away would not hold for root."""

    monkeypatch.setattr(fasta_index, "TemporaryDirectory", not_beside)
    monkeypatch.setattr(os, "access", lambda *_: False)


def test_the_index_is_written_once_and_said_aloud(path, caplog):
    with caplog.at_level(logging.WARNING):
        read(path)
        read(path)
    said = f"checking {path} and writing its index {path.name}.fai, which is missing"
    assert [record.message for record in caplog.records] == [said]
    beside = {path.name, f"{path.name}.fai"} | ({f"{path.name}.gzi"} if path.suffix == ".gz" else set())
    assert {file.name for file in path.parent.iterdir()} == beside


def test_a_damaged_file_gets_no_index(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">one\nACGT\n>one\nACGT\n")
    with pytest.raises(DataError, match="genome.fa:3"):
        Genome.open(path)
    assert [file.name for file in tmp_path.iterdir()] == ["genome.fa"]


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(text_of(1, length=149), id="shorter"),
        pytest.param(text_of(1, contigs=("chr1", "chr2", "chr3")), id="one more contig"),
        pytest.param(text_of(1, contigs=("chr2", "chr1")), id="other order"),
        pytest.param(text_of(1, contigs=("chrA", "chrB")), id="other names"),
        pytest.param(text_of(1, width=70), id="other lines, as many bytes"),
    ],
)
def test_an_index_of_what_the_file_was_before_is_made_anew_whatever_the_times_say(path, changed, is_older, caplog):
    read(path)
    write(path, changed, bgzip=path.suffix == ".gz")
    time = path.stat().st_mtime - 1000 if is_older else path.stat().st_mtime
    os.utime(path, (time, time))
    caplog.clear()
    assert read(path) == sequences(changed)
    assert f"writing its index {path.name}.fai, which does not fit it" in caplog.text
    caplog.clear()
    assert read(path) == sequences(changed)
    assert not caplog.records


def test_a_file_newer_than_its_index_is_indexed_anew(path, caplog):
    read(path)
    time = path.stat().st_mtime + 5
    os.utime(path, (time, time))
    caplog.clear()
    assert read(path) == sequences(text_of(0))
    assert f"writing its index {path.name}.fai, which is older than the file" in caplog.text


def test_an_older_index_that_fits_serves_in_a_folder_that_cannot_be_written(path, caplog, monkeypatch):
    read(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    time = path.stat().st_mtime + 5
    os.utime(path, (time, time))
    caplog.clear()
    assert read(path) == sequences(text_of(0))
    assert not caplog.records


@pytest.mark.parametrize(
    "content", ["", "rubbish", "chr1\t900\t6\t60\t61\n", "chr1\t1\t2\t3\tx\n", "chr1\t150\t0\t0\t0\n"]
)
def test_an_index_that_is_none_is_made_anew(path, content, caplog):
    read(path)
    index = path.with_name(f"{path.name}.fai")
    index.write_text(content)
    caplog.clear()
    assert read(path) == sequences(text_of(0))
    assert "which does not fit it" in caplog.text
    assert index.read_text().startswith("chr1\t150\t")


@pytest.mark.parametrize("content", [None, b"", b"\0" * 7, b"\1" + b"\0" * 7, b"\1" + b"\0" * 7 + b"\xff" * 16])
def test_a_missing_or_damaged_index_of_blocks_is_made_anew(tmp_path, content, caplog):
    path = tmp_path / "genome.fa.gz"
    text = text_of(0, length=100_000)
    write(path, text, bgzip=True)
    read(path)
    blocks = tmp_path / "genome.fa.gz.gzi"
    if content is None:
        blocks.unlink()
    else:
        blocks.write_bytes(content)
    caplog.clear()
    assert read(path) == sequences(text)
    assert f"which {'lacks genome.fa.gz.gzi' if content is None else 'does not fit it'}" in caplog.text
    assert blocks.stat().st_size > 8


@pytest.mark.usefixtures("unwritable")
def test_an_index_that_cannot_be_kept_serves_this_once_and_that_is_said(path, caplog):
    assert read(path) == sequences(text_of(0))
    assert f"the index of {path} cannot be kept beside it (Read-only file system)" in caplog.text
    assert f"have its owner run: samtools faidx {path}" in caplog.text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_indexes_of_all_proper_files_fit(tmp_path, newline, caplog):
    path = tmp_path / "genome.fa"
    text = text_of(0, contigs=[f"c|{number}*" for number in range(3_000)], length=7, width=3, newline=newline)
    text = newline + text.rstrip() if newline == "\n" else text + newline
    text = text.lstrip().replace(">c|7* of 0", "> c|7*\tand more").replace(">c|9*", f"{newline}>c|9*")
    write(path, text)
    read(path)
    caplog.clear()
    assert read(path) == sequences(text.replace("> c", ">c"))
    assert not caplog.records


def test_a_file_cut_while_it_is_open_is_found_out(tmp_path):
    path = tmp_path / "genome.fa"
    write(path, text_of(0, length=200_000))
    genome = Genome.open(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r"the index .*genome.fa.fai does not fit genome.fa\. Delete it, and it is"):
        genome.window(Interval("chr2", 150_000, 200_000))


def test_a_missing_index_of_blocks_does_not_end_the_process(tmp_path):
    path = tmp_path / "genome.fa.gz"
    write(path, text_of(0), bgzip=True)
    read(path)
    (tmp_path / "genome.fa.gz.gzi").unlink()
    (tmp_path / "genome.fa.gz.gzi").symlink_to(tmp_path / "nowhere" / "gzi")  # htslib cannot write it, root or not
    code = f"from bigbird.data.genome import Genome; print(*Genome.open({str(path)!r}).contigs)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "chr1 chr2\n"), done.stderr
