"""What all tests of the command line share."""

import sys

import pytest

from bigbird import cli


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)


@pytest.fixture
def bigbird(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder: (exit code, output, what was said)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bigbird", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run
