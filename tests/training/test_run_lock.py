"""One run in a folder at a time; a run that was killed holds nobody up."""

import fcntl
import logging
import os
import signal
import subprocess
import sys

import pytest

from bigbird.errors import ConfigError
from bigbird.training.run_lock import LOCK_FILE, run_lock


def test_a_second_run_in_a_folder_is_refused_and_told_who_holds_it(tmp_path):
    with run_lock(tmp_path / "run"):
        with (
            pytest.raises(ConfigError, match=rf"run is in use by another run \(process {os.getpid()} on \S+\)\. Wait"),
            run_lock(tmp_path / "run"),
        ):
            pass
        with run_lock(tmp_path / "other"):
            pass
    with run_lock(tmp_path / "run"):
        pass


def test_a_folder_made_for_the_lock_alone_is_removed_and_what_was_there_stays(tmp_path):
    with run_lock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK_FILE).exists()
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    with run_lock(tmp_path / "empty"):
        pass
    assert not list((tmp_path / "empty").iterdir())
    with run_lock(tmp_path / "run"):
        (tmp_path / "run" / "model").mkdir()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]


def test_the_lock_of_another_process_holds_until_it_is_killed_and_no_longer(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom bigbird.training.run_lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=rf"in use by another run \(process {other.pid} on"), run_lock(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with run_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_lock_file_removed_by_its_holder_just_now_is_taken_anew(tmp_path, monkeypatch):
    taken = fcntl.flock

    def flock(descriptor, operation):
        taken(descriptor, operation)
        monkeypatch.setattr(fcntl, "flock", taken)
        (tmp_path / LOCK_FILE).unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with run_lock(tmp_path), pytest.raises(ConfigError, match="is in use"), run_lock(tmp_path):
        pass


def test_where_nothing_can_be_locked_the_run_goes_on_and_says_so(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with caplog.at_level(logging.WARNING), run_lock(tmp_path):
        assert "cannot be locked (Operation not supported): see that no second run is started in it" in caplog.text
