"""A full disk ends the run in one line; the last good state stays, and the run goes on from it once there is room."""

import contextlib
import dataclasses
import os
import resource
import subprocess

import pytest

from bigbird.errors import TrainingFailed
from training_runs import CONFIG, losses, run, same_weights

LONG = dataclasses.replace(CONFIG, save_every=1, evaluate_every=100)


@contextlib.contextmanager
def files_no_larger_than(num_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def small_disk(place, num_bytes):
    """A disk of its own, where that is allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file systems can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607  wherever it lies


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_grows_too_large_ends_the_run_and_the_state_before_stays(tmp_path):
    run(tmp_path / "whole", LONG)
    with (
        files_no_larger_than(40_000),  # weights are smaller, the optimizer's averages larger; at step 0 there are none
        pytest.raises(
            TrainingFailed,
            match=r"the state of step 1 could not be written to \S+/state: File too large .* The last good state is "
            r"that of step 0; make room and go on with --resume",
        ),
    ):
        run(tmp_path / "cut", LONG)
    assert names(tmp_path / "cut" / "state") == ["step-000000000"]
    _, resumed, _ = run(tmp_path / "cut", LONG, resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    _, whole, _ = run(tmp_path / "whole", LONG, resume=True)
    assert same_weights(resumed.loaded.model, whole.loaded.model)


def test_a_full_disk_ends_the_run_and_once_there_is_room_it_goes_on(tmp_path):
    run(tmp_path / "whole", LONG)
    with small_disk(tmp_path / "disk", 600_000):
        ballast = tmp_path / "disk" / "ballast"
        free = os.statvfs(tmp_path / "disk").f_bavail * 4096
        ballast.write_bytes(b"x" * (free - 200_000))
        with pytest.raises(
            TrainingFailed, match=r"No space left on device \(it takes about [\d,]+ bytes, [\d,]+ are free"
        ):
            run(tmp_path / "disk" / "run", LONG)
        assert all(not name.startswith(".") for name in names(tmp_path / "disk" / "run" / "state"))
        ballast.unlink()
        run(tmp_path / "disk" / "run", LONG, resume=True)
        assert losses(tmp_path / "disk" / "run") == losses(tmp_path / "whole")
