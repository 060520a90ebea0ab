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
from helpers import STRANDED, dna, loaded_model

SETTINGS = ["--genome", "genome.fa", "--set", "window_bp=400", "--set", "overlap_bp=100"]
SMALL_PARTS = "from bigbird.genomics import whole_scan; whole_scan.PART_BP = 600; from bigbird.cli import main; main()"
OUTPUTS = ("calls.bed", "scores.bedgraph", "summary.json", "report.html", "scan.chr1.png", "scores.bigwig")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(20_000, 1)}\n>chr2\n{dna(9_000, 2)}\n")
    save_model(tmp_path / "tokens", loaded_model(STRANDED))
    return tmp_path


def scan_process(out, folder):
    command = [sys.executable, "-c", SMALL_PARTS, "scan", "tokens", *SETTINGS, "--out", out]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def test_a_killed_scan_goes_on_and_ends_in_the_same_bytes(files):
    whole = scan_process("whole", files)
    assert whole.wait() == 0, whole.stderr.read()
    killed = scan_process("killed", files)
    parts, deadline = files / "killed" / ".scan", time.monotonic() + 120
    while len(list(parts.glob("*.npz"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (files / "killed" / "calls.bed").exists()
    again = scan_process("killed", files)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert re.search(r"going on with the unfinished scan in killed: 0\.0\d\d of 0\.029 Mb are done", said)
    for name in OUTPUTS:
        if (files / "whole" / name).exists():
            assert (files / "killed" / name).read_bytes() == (files / "whole" / name).read_bytes(), name
    assert not parts.exists()


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
