"""What a run shows and writes while it goes on."""

import io
import math
import re
import sys

import pytest
from rich.console import Console

from bigbird.errors import MissingDependency
from bigbird.tasks import Estimate, MaskedLM
from bigbird.training import metrics_file, reporting
from bigbird.training.reporting import Reporter, fitted
from bigbird.training.smoothing import Smoothed, smoothed
from bigbird.training.tensorboard import TENSORBOARD_FOLDER
from training_runs import events, run

VALUES = {
    "loss": 12.3456,
    "bits_per_letter": 1.9543,
    "gradient_norm": 1.0,
    "learning_rate": 0.1,
    "tokens_per_second": 1234567.0,
    "seconds": 0.1,
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)


class Clock:
    """time.monotonic by hand."""

    now = 100.0

    @classmethod
    def monotonic(cls):
        return cls.now


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(reporting, "time", Clock)
    monkeypatch.setattr(Clock, "now", 100.0)
    return Clock


def lines_of(console):
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return [line for line in re.split("[\r\n]", plain) if line.strip()]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("num_steps", [9, 1_000_000])
def test_the_bar_never_wraps_and_shows_the_loss_at_any_width(tmp_path, width, num_steps):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with Reporter(
        tmp_path, num_steps=num_steps, first_step=num_steps - 3, console=console, letter="character"
    ) as reporter:
        for step in range(num_steps - 2, num_steps + 1):
            reporter.step(step, VALUES)
    last = [line for line in lines_of(console) if "loss" in line][-1]
    assert f"{num_steps}/{num_steps} loss 12.3456" in last
    assert "left" in last or width == 40
    assert len(last) <= width
    assert len([line for line in lines_of(console) if line == last]) <= 3  # no second line of a wrapped one
    assert all(f"/{num_steps}" in line for line in lines_of(console))


def test_a_usual_terminal_has_room_for_everything(tmp_path):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with Reporter(tmp_path, num_steps=1000, first_step=0, console=console, letter="base") as reporter:
        reporter.step(1, {**VALUES, "loss": 1.5, "tokens_per_second": 12345.0})
    last = lines_of(console)[-1]
    assert re.search(r"1/1000 loss 1\.5000  1\.954 bits/base  12,345 tok/s  \d\.\d/\d\.\d GiB  \S+ left", last)


def test_without_a_terminal_a_line_comes_every_30_seconds(tmp_path, clock):
    console = Console(file=io.StringIO(), width=50)
    with Reporter(tmp_path, num_steps=100, first_step=0, console=console, letter="base") as reporter:
        for step in range(1, 8):
            clock.now += 10
            reporter.step(step, VALUES)
    lines = lines_of(console)
    assert [line[:15] for line in lines] == ["step 3 of 100  ", "step 6 of 100  "]
    assert "loss 12.3456  1.954 bits/base  1,234,567 tok/s" in lines[0]
    assert lines[0].endswith("0:16:10 left")  # 97 steps of 10 s, on one line however narrow


def test_the_time_left_is_right_at_once_after_a_resume(tmp_path, clock):
    console = Console(file=io.StringIO(), width=80)
    with Reporter(tmp_path, num_steps=1000, first_step=900, console=console) as reporter:
        for step in (901, 902, 903):
            clock.now += 10
            reporter.step(step, VALUES)
    assert lines_of(console)[0].endswith(f"{97 * 10 // 60 // 60}:16:10 left")


def test_the_loss_on_the_console_is_its_trend():
    trend = smoothed([1.0, None, math.nan, 3.0])
    assert trend[:3] == [1.0, 1.0, 1.0]
    assert 2.0 < trend[3] < 2.02
    assert math.isnan(Smoothed().value)
    flat = smoothed([5.0] * 300)
    assert flat == pytest.approx([5.0] * 300)


def test_what_matters_least_is_left_out_first():
    pieces = [(0, "aaaa"), (2, "bb"), (1, "cc")]
    assert [fitted(pieces, width) for width in (14, 12, 11, 8, 7, 1)] == [
        "aaaa  bb  cc", "aaaa  bb  cc", "aaaa  cc", "aaaa  cc", "aaaa", "aaaa",
    ]  # fmt: skip


def test_events_say_when_the_run_began_and_went_on_and_what_each_step_was(tmp_path):
    console = Console(file=io.StringIO())
    for first, num_steps in ((0, 2), (2, 3)):
        with Reporter(tmp_path, num_steps=num_steps, first_step=first, console=console, letter="base") as reporter:
            for step in range(first + 1, num_steps + 1):
                reporter.step(step, {**VALUES, "loss": math.nan})
            reporter.evaluation(num_steps, {"loss": Estimate(1.0, math.nan, math.nan)})
    found, num_damaged = metrics_file.read(tmp_path / "metrics.jsonl")
    assert num_damaged == 0
    assert [(event["event"], event["step"]) for event in found] == [
        ("start", 0), ("step", 1), ("step", 2), ("evaluation", 2), ("resume", 2), ("step", 3), ("evaluation", 3),
    ]  # fmt: skip
    assert (found[0]["num_steps"], found[0]["letter"], found[4]["num_steps"]) == (2, "base", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found[0]["time"])
    assert found[1]["loss"] is None
    assert 2**20 < found[1]["peak_memory_bytes"] < 2**40
    assert found[3]["loss"] == [1.0, None, None]


def test_a_reporter_that_is_told_nothing_writes_nothing(tmp_path):
    with Reporter(tmp_path, num_steps=2, first_step=0, console=Console(file=io.StringIO())):
        pass
    assert list(tmp_path.iterdir()) == []


def test_masked_language_modelling_is_told_in_bits_per_letter_and_other_tasks_are_not(tmp_path):
    run(tmp_path / "masked", task=MaskedLM(max_length=256))
    run(tmp_path / "labels")
    for event in events(tmp_path / "masked"):  # single bases: every target is one letter
        assert event["bits_per_letter"] == pytest.approx(event["loss"] / math.log(2))
    assert all("bits_per_letter" not in event for event in events(tmp_path / "labels"))


def scalars(folder, name):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = accumulators.EventAccumulator(str(folder / TENSORBOARD_FOLDER))
    accumulator.Reload()
    return [(scalar.step, scalar.value) for scalar in accumulator.Scalars(name)]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_shows_each_step_of_a_resumed_run_once(tmp_path):
    pytest.importorskip("tensorboard")
    console = Console(file=io.StringIO())
    for first, last, loss in ((0, 6, 1.0), (4, 8, 2.0)):  # the first part went on to 6 after the state of 4
        with Reporter(tmp_path, num_steps=8, first_step=first, console=console, tensorboard=True) as reporter:
            for step in range(first + 1, last + 1):
                reporter.step(step, {**VALUES, "loss": loss, "gradient_norm": math.nan})
            reporter.evaluation(last, {"loss": Estimate(loss, math.nan, math.nan)})
    assert scalars(tmp_path, "train/loss") == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), *((n, 2.0) for n in range(5, 9))]
    assert scalars(tmp_path, "validation/loss") == [(8, 2.0)]
    with pytest.raises(KeyError, match="gradient_norm"):
        scalars(tmp_path, "train/gradient_norm")


def test_without_tensorboard_installed_the_command_that_mends_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        MissingDependency,
        match=r"training\.tensorboard needs tensorboard, which is not installed\. Run: pip install 'bigbird\[tensorb",
    ):
        Reporter(tmp_path, num_steps=1, first_step=0, tensorboard=True)


def test_of_many_figures_the_means_are_shown_and_all_are_written(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    scores = {"loss": Estimate(1.0, math.nan, math.nan), "mean_auroc/TF": Estimate(0.7, 0.6, 0.8)}
    scores |= {f"auroc/label{number}": Estimate(0.5, 0.4, 0.6) for number in range(30)}
    with Reporter(tmp_path, num_steps=9, first_step=0, console=console) as reporter:
        reporter.evaluation(
            3, {"loss": Estimate(1.0, math.nan, math.nan), "mean_auroc/TF": Estimate(0.7, 0.6, 0.8), **scores}
        )
    (line,) = lines_of(console)
    assert line.strip() == "after step 3: loss 1.0000  mean_auroc/TF 0.7000  and 30 more in metrics.jsonl"
    assert "auroc/label29" in events(tmp_path, "evaluation")[-1]
