"""`bigbird variants` as people use it, and every mistake told in one line."""

import io
import re
import sys

import pytest

from bigbird import cli
from bigbird.checkpoint import save_model
from helpers import dna
from variant_cases import HARD, HARD_VCF, HEADER, base, other, row, tiny_models, without_ours, write_genome

SMALL = ("--set", "window_bp=101")
GENOME = ("--genome", "genome.fa")


@pytest.fixture
def files(tmp_path):
    """A genome, a VCF file of hard records and two small models."""
    write_genome(tmp_path)
    (tmp_path / "in.vcf").write_text(HARD_VCF)
    for name, loaded in tiny_models().items():
        save_model(tmp_path / name, loaded)
    return tmp_path


@pytest.mark.parametrize("model", ["tokens", "windows"])
def test_a_vcf_goes_through_whole_and_what_became_of_it_is_said(bigbird, files, caplog, model):
    code, out, said = bigbird(
        "variants", model, "in.vcf", *GENOME, "--out", "out.vcf", "--table", "out.tsv", *SMALL
    )  # fmt: skip
    assert (code, out) == (0, ""), said
    assert without_ours((files / "out.vcf").read_bytes()) == without_ours(HARD_VCF.encode())
    reasons = [reason for _, of_alts in HARD for reason in of_alts]
    num_scored = reasons.count(None)
    lines = said.splitlines()
    assert (
        f"{len(HARD)} records with {len(reasons)} ALT alleles: {num_scored} scored, {len(reasons) - num_scored} kept "
        "without a score"
    ) in lines
    assert "  symbolic: 3" in lines
    assert re.search(r"REF agrees with the genome in (\d+) of \1 records in which it was looked at", said)
    assert lines[-1] == "all records are in out.vcf, scores as a table in out.tsv"
    assert "read as: 1 -> chr1" in caplog.text
    assert "the genome lacks chrUn_1; 1 records there are kept without a score" in caplog.text
    assert len((files / "out.tsv").read_text().splitlines()) == 1 + 2 * num_scored + len(reasons) - num_scored
    header = (files / "out.vcf").read_text(errors="replace")
    assert re.search(rf"model {model} \(weights sha256 [0-9a-f]{{12}}\), windows of 101 bases; reach_bp 100", header)


def test_one_label_alone_and_other_settings(bigbird, files):
    options = (
        "--label",
        "site-",
        "--set",
        "reach_bp=5",
        "--set",
        "reading=max",
        "--set",
        "placements=2",
        "--set",
        "info_prefix=MY",
        "--on-ref-mismatch",
        "skip",
    )
    code, _, said = bigbird(
        "variants", "tokens", "in.vcf", *GENOME, "--out", "new/out.vcf", "--table", "out.tsv", *SMALL, *options
    )
    assert code == 0, said
    assert said.splitlines()[-1] == "all records are in new/out.vcf, scores as a table in out.tsv"
    text = (files / "new/out.vcf").read_text(errors="replace")
    assert "MY_LOGODDS_site_minus=" in text
    assert "site_plus" not in text
    assert 'reach_bp 5, reading max, placements 2"' in text
    assert {line.split("\t")[5] for line in (files / "out.tsv").read_text().splitlines()[1:]} == {"site-", "."}


def test_the_shipped_model_of_bins_scores_every_kind_of_variant(bigbird, tmp_path):
    sequence = dna(9_000, 7)
    (tmp_path / "genome.fa").write_text(f">chrXII\n{sequence}\n")
    here = sequence[4_000]
    records = [(here, other(here)), (here, here + "GATTACA"), (sequence[4_000:4_300], here), (here, here)]
    rows = [f"chrXII\t4001\t.\t{ref}\t{alt}\t.\t.\t.\n" for ref, alt in records]
    (tmp_path / "in.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(rows))
    code, _, said = bigbird(
        "variants", "yeast-chromatin", "in.vcf", *GENOME, "--out", "out.vcf", "--table", "out.tsv", "--label", "Reb1"
    )
    assert code == 0, said
    assert "4 records with 4 ALT alleles: 4 scored, 0 kept" in said
    assert "windows of 8000 bases; reach_bp 0, reading mean, placements 1" in (tmp_path / "out.vcf").read_text()
    lines = [line.split("\t") for line in (tmp_path / "out.tsv").read_text().splitlines()[1:]]
    changes = [float(line[9]) for line in lines]
    assert all(changes[:3])
    assert changes[3] == 0
    assert len({line[6] for line in (lines[0], lines[1], lines[3])}) == 1  # the same REF, the same answer


def test_standard_input_is_read_like_a_file(monkeypatch, bigbird, files):
    class Input:
        buffer = io.BytesIO(HARD_VCF.encode())

    monkeypatch.setattr(sys, "stdin", Input)
    assert bigbird("variants", "tokens", "in.vcf", *GENOME, "--out", "one.vcf", *SMALL)[0] == 0
    assert bigbird("variants", "tokens", "-", *GENOME, "--out", "two.vcf", *SMALL)[0] == 0
    assert (files / "one.vcf").read_bytes() == (files / "two.vcf").read_bytes()


def test_mismatches_are_said_and_policy_decides(bigbird, files, caplog):
    wrong = [row("chr1", place, base(place + 1), other(base(place + 1))) for place in range(100, 260)]
    (files / "wrong.vcf").write_text(HEADER + "".join(wrong))
    code, _, said = bigbird("variants", "tokens", "wrong.vcf", *GENOME, "--out", "out.vcf", *SMALL)
    assert code == 2
    assert re.search(
        r"^bigbird: wrong\.vcf: REF differs from the genome in \d+ of 100 records looked at\. The first, in line \d, "
        r"is chr1:\d+ .>. where the genome has .\. Likely cause: positions count from 0, VCF counts from 1: REF agrees "
        r"one base further to the right in 100% of these records\. Nothing was scored\.",
        said.splitlines()[-1],
    )
    assert not (files / "out.vcf").exists()
    for policy, number in (("skip", 0), ("warn", 160)):
        arguments = ("--out", f"{policy}.vcf", *SMALL, "--on-ref-mismatch", policy)
        code, _, said = bigbird("variants", "tokens", "wrong.vcf", *GENOME, *arguments)
        assert code == 0
        text = (files / f"{policy}.vcf").read_text()
        num_differing = text.count(";BIGBIRD_WHY=ref_mismatch" if policy == "skip" else ";BIGBIRD_REF_MISMATCH")
        agree = 160 - num_differing
        assert f"160 ALT alleles: {number or agree} scored" in said
        assert f"REF agrees with the genome in {agree} of 160 records" in said
    assert "Likely cause: positions count from 0" in caplog.text


def test_the_model_s_notes_say_how_it_is_used(bigbird, files):
    loaded = tiny_models()["tokens"]
    loaded.notes["variants"] = {"window_bp": 77, "reach_bp": 3, "placements": 2}
    save_model(files / "noted", loaded)
    assert bigbird("variants", "noted", "in.vcf", *GENOME, "--out", "out.vcf")[0] == 0
    assert "windows of 77 bases; reach_bp 3, reading mean, placements 2" in (files / "out.vcf").read_text(
        errors="replace"
    )


MISTAKES = {
    "no genome": (
        ["in.vcf", "--out", "o.vcf"],
        r"variants needs the genome that the places lie on, with --genome FASTA",
    ),
    "no output": (["in.vcf", *GENOME], r"variants needs the file to write, with --out OUT\.vcf or --out OUT\.vcf\.gz"),
    "the input as output": (
        ["in.vcf", *GENOME, "--out", "in.vcf"],
        r"--out in\.vcf is what is read; name another file",
    ),
    "one file for both": (
        ["in.vcf", *GENOME, "--out", "o.vcf", "--table", "o.vcf"],
        r"--table o\.vcf is also what --out names; name another file",
    ),
    "the input as table": (
        ["in.vcf", *GENOME, "--out", "o.vcf", "--table", "in.vcf"],
        r"--table in\.vcf is what is read; name another file",
    ),
    "a missing file": (
        ["no.vcf", *GENOME, "--out", "o.vcf", *SMALL],
        r"cannot read no\.vcf: No such file or directory",
    ),
    "no VCF": (["genome.fa", *GENOME, "--out", "o.vcf", *SMALL], r"genome\.fa:1: a record stands before the line"),
    "no window": (["in.vcf", *GENOME, "--out", "o.vcf"], r"model tokens does not say how long the sequences were"),
    "a long window": (
        ["in.vcf", *GENOME, "--out", "o.vcf", "--set", "window_bp=999"],
        r"window_bp 999 is more than model tokens reads at once; set it to 510 or less",
    ),
    "an unknown label": (
        ["in.vcf", *GENOME, "--out", "o.vcf", *SMALL, "--label", "side+"],
        r"model tokens has no label 'side\+' among its 2; nearest are site\+, site-",
    ),
    "an unknown setting": (
        ["in.vcf", *GENOME, "--out", "o.vcf", "--set", "windw_bp=9"],
        r"--set: there is no setting 'windw_bp'\. Did you mean 'window_bp'\?",
    ),
    "a setting out of range": (
        ["in.vcf", *GENOME, "--out", "o.vcf", *SMALL, "--set", "reach_bp=-1"],
        r"--set: reach_bp must be at least 0, got -1",
    ),
    "an unknown policy": (
        ["in.vcf", *GENOME, "--out", "o.vcf", "--on-ref-mismatch", "ignore"],
        r"'ignore' is not one of 'error', 'skip', 'warn'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2_and_writes_nothing(bigbird, files, mistake):
    arguments, message = MISTAKES[mistake]
    before = {path for path in files.rglob("*") if path.suffix != ".fai"}
    code, out, said = bigbird("variants", "tokens", *arguments)
    last = said.strip().splitlines()[-1]
    assert code == 2, said
    assert last.startswith("bigbird: ")
    assert re.search(message, last), last
    assert "Traceback" not in out + said
    assert {path for path in files.rglob("*") if path.suffix != ".fai"} == before


def test_without_pysam_a_compressed_output_is_refused_before_the_work(bigbird, files, monkeypatch):  # noqa: ARG001
    monkeypatch.setitem(sys.modules, "pysam", None)
    code, _, said = bigbird("variants", "nowhere", "in.vcf", *GENOME, "--out", "o.vcf.gz")
    assert code == 2
    assert "writing o.vcf.gz as bgzip needs pysam, which is not installed. Run: pip install 'bigbird[dna]'" in said


def test_the_command_is_listed():
    assert "variants" in cli.__all__
