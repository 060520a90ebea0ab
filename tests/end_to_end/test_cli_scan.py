"""`bigbird scan` of whole genomes: killed, gone on with, told about."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from bigbird.checkpoint import save_model
from bigbird.cli import scan_progress
from bigbird.cli.scan_progress import Pace
from bigbird.genomics import whole_scan
from helpers import STRANDED, dna, loaded_model

SETTINGS = ["--genome", "genome.fa", "--set", "window_bp=400", "--set", "overlap_bp=100"]
SMALL_PARTS = "from bigbird.genomics import whole_scan; whole_scan.PART_BP = 600; from bigbird.cli import main; main()"
OUTPUTS = ("calls.bed", "scores.bedgraph", "summary.json", "report.html", "scan.chr1.png", "scores.bigwig")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(20_000, 1)}\n>chr2\n{dna(9_000, 2)}\n")
    save_model(tmp_path / "tokens", loaded_model(STRANDED))
    return tmp_path


def kill_when_begun(folder):
    """Start a scan into the folder `killed`, and kill it once it has finished a few parts."""
    command = [sys.executable, "-c", SMALL_PARTS, "scan", "tokens", *SETTINGS, "--out", "killed"]
    deadline = time.monotonic() + 120
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as scan:
        while len(list((folder / "killed" / ".scan").glob("*.npz"))) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(scan.pid, signal.SIGKILL)
    assert scan.returncode == -signal.SIGKILL


def test_a_killed_scan_goes_on_and_ends_in_the_same_bytes(bigbird, files, monkeypatch):
    assert bigbird("scan", "tokens", *SETTINGS, "--out", "whole")[0] == 0
    kill_when_begun(files)
    assert not (files / "killed" / "calls.bed").exists()
    monkeypatch.setattr(whole_scan, "PART_BP", 600)
    code, _, said = bigbird("scan", "tokens", *SETTINGS, "--out", "killed")
    assert code == 0
    assert re.search(r"going on with the unfinished scan in killed: 0\.0\d\d of 0\.029 Mb are done", said)
    for name in OUTPUTS:
        if (files / "whole" / name).exists():
            assert (files / "killed" / name).read_bytes() == (files / "whole" / name).read_bytes(), name
    assert not (files / "killed" / ".scan").exists()


def test_a_log_is_told_now_and_then_how_far_the_scan_is(bigbird, files, monkeypatch):
    monkeypatch.setattr(scan_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    code, _, said = bigbird("scan", "tokens", *SETTINGS, "--region", "chr2")
    assert code == 0
    assert "\nchr2: 0.009 of 0.009 Mb, " in said
    assert not (files / "scan" / ".scan").exists()


def test_pace_and_time_left_count_what_this_scan_has_done():
    now = 0.0
    pace = Pace(3_000_000_000, 1_000_000_000, clock=lambda: now)
    assert str(pace) == "1,000.0 of 3,000.0 Mb"
    now, pace.done = 600.0, 1_020_000_000
    assert str(pace) == "1,020.0 of 3,000.0 Mb, 2.00 Mb per minute, 16.5 h left"
    now, pace.done = 600.0, 2_900_000_000
    assert str(pace) == "2,900.0 of 3,000.0 Mb, 190.00 Mb per minute, less than a minute left"
    now, pace.done = 6_000.0, 2_900_000_000
    assert str(pace).endswith("5 min left")
