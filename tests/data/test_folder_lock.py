"""One program in a folder at a time; one that was killed holds nobody up."""

import fcntl
import logging
import os
import signal
import subprocess
import sys

import pytest

from bigbird.data.folder_lock import LOCK_FILE, folder_lock
from bigbird.errors import ConfigError


def test_a_second_program_in_a_folder_is_refused_and_told_who_holds_it(tmp_path):
    with folder_lock(tmp_path / "run"):
        with (
            pytest.raises(
                ConfigError, match=rf"run is in use by another program \(process {os.getpid()} on \S+\)\. Wait"
            ),
            folder_lock(tmp_path / "run"),
        ):
            pass
        with folder_lock(tmp_path / "other"):
            pass
    with folder_lock(tmp_path / "run"):
        pass


def test_a_folder_made_for_the_lock_alone_is_removed_and_what_was_there_stays(tmp_path):
    with folder_lock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK_FILE).exists()
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    with folder_lock(tmp_path / "empty"):
        pass
    assert not list((tmp_path / "empty").iterdir())
    with folder_lock(tmp_path / "run"):
        (tmp_path / "run" / "model").mkdir()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]


def test_the_lock_of_another_process_holds_until_it_is_killed_and_no_longer(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom bigbird.data.folder_lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(ConfigError, match=rf"in use by another program \(process {other.pid} on"),
            folder_lock(tmp_path),
        ):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with folder_lock(tmp_path):
        pass
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_lock_file_removed_by_its_holder_just_now_is_taken_anew(tmp_path, monkeypatch):
    taken = fcntl.flock

    def flock(descriptor, operation):
        taken(descriptor, operation)
        monkeypatch.setattr(fcntl, "flock", taken)
        (tmp_path / LOCK_FILE).unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    with folder_lock(tmp_path), pytest.raises(ConfigError, match="is in use"), folder_lock(tmp_path):
        pass


def test_where_nothing_can_be_locked_the_work_goes_on_and_says_so(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with caplog.at_level(logging.WARNING), folder_lock(tmp_path):
        assert "cannot be locked (Operation not supported): see that no second program writes into it" in caplog.text
