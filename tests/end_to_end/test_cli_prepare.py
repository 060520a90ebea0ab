"""`bigbird prepare` as people use it: made, made again, killed with its workers, finished."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bigbird.data.manifest import read_manifest
from corpora import contents, dna_lines
from helpers import dna


@pytest.fixture
def bigbird(bigbird):
    """Run a command line in an empty folder: (exit code, output, what was said in one line)."""

    def run(*arguments):
        code, out, said = bigbird(*arguments)
        return code, out, " ".join(said.split())

    return run


GENOME = ("genome.fa", "--out", "corpus", "--tokenizer", "dna-bpe:40", "--workers", "1")


def test_a_genome_becomes_a_corpus_once(bigbird, tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(90_000, 1)}\n>chr2\n{dna(60_000, 2)}\n")
    asked = (*GENOME, "--hold-out", "chr2:1-30,000", "--region", "chr1", "--walks", "2", "--seed", "5")
    code, out, said = bigbird("prepare", *asked)
    assert (code, out) == (0, "")
    manifest, _ = read_manifest(tmp_path / "corpus")
    assert manifest.num_held_out > 0
    assert f"corpus holds {manifest.num_documents:,} documents ({manifest.num_held_out} held out) of" in said
    assert f"letters in {manifest.num_tokens:,} tokens" in said
    asked_for = {"hold_out": ["chr2:1-30,000"], "regions": ["chr1"], "walks": 2, "seed": 5, "tokenizer": "dna-bpe:40"}
    assert asked_for.items() <= manifest.settings.items()
    before = contents(tmp_path / "corpus")
    code, _, said = bigbird("prepare", *asked)
    assert (code, contents(tmp_path / "corpus")) == (0, before)
    assert "nothing to do: corpus holds this corpus already" in said


def test_a_packaged_model_whose_tokens_cannot_be_masked_is_refused_in_one_line(bigbird, tmp_path):
    dna_lines(tmp_path / "a.jsonl")
    code, _, said = bigbird("prepare", "a.jsonl", "--out", "corpus", "--tokenizer", "promoter", "--workers", "1")
    assert (code, said) == (
        2,
        "bigbird: a corpus is for masked language modelling, and tokens that spell out their bases cannot be masked. "
        "Take another tokenizer, for example --tokenizer dna-bpe:4096 or single-base.",
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("nowhere.txt", "--out", "corpus", "--tokenizer", "single-base"),
            "nowhere.txt is neither a file nor a folder",
        ),
        ((*GENOME[:1], "--out", "genome.fa", "--tokenizer", "single-base"), "--out genome.fa is a file; name a folder"),
        ((*GENOME, "--walks", "0"), "walks must be from 1 to 1000, got 0"),
        ((*GENOME, "--walks", "2"), "a share of them cannot be held out; name contigs or regions with --hold-out"),
        ((*GENOME, "--hold-out", "chr3"), "--hold-out or --region names 'chr3', and the sources hold no such document"),
        (("genome.fa", "--out", "corpus"), "missing option '--tokenizer'"),
    ],
)
def test_mistakes_are_told_in_one_line(bigbird, tmp_path, arguments, text):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(1000, 1)}\n")
    code, out, said = bigbird("prepare", *arguments)
    assert (code, out) == (2, "")
    assert text in said
    assert "Traceback" not in said


def processes_of(group):
    """Living processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, process_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == group and state != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_killed_its_workers_end_too_and_the_same_command_finishes_the_work(tmp_path):
    dna_lines(tmp_path / "a.jsonl", count=200, longest=20_000)
    program = "from bigbird.cli import main; main()"
    command = [sys.executable, "-c", program, "prepare", "a.jsonl", "--tokenizer", "single-base", "--workers", "2"]
    killed = subprocess.Popen([*command, "--out", "corpus"], cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(processes_of(killed.pid)) < 4 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)  # until there are itself, what Python keeps beside workers, and two of them
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    while processes_of(killed.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(killed.pid)
    assert (tmp_path / "corpus" / "unfinished.json").exists()
    for folder in ("corpus", "whole"):
        done = subprocess.run([*command, "--out", folder], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "corpus") == contents(tmp_path / "whole")
