import dataclasses
import io
import math
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from bigbird.checkpoint import load_model
from bigbird.errors import CheckpointError, ConfigError, TrainingFailed
from bigbird.tasks import Estimate
from bigbird.training.evaluation import evaluate, is_better
from bigbird.training.optimizer import learning_rate_factor
from bigbird.training.reporting import Reporter
from bigbird.training.step import Learner, StepResult
from bigbird.training.trainer import Trainer
from helpers import MOTIF_TASK, encoder_config
from training_runs import CONFIG, VALIDATION, events, losses, run, same_weights, trainer


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)


def test_a_run_can_be_repeated_bit_by_bit_and_leaves_the_global_generator_alone(tmp_path):
    state = torch.get_rng_state()
    _, one, _ = run(tmp_path / "a", dropout=0.2)
    torch.manual_seed(99)
    _, other, _ = run(tmp_path / "b", dropout=0.2)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert same_weights(one.loaded.model, other.loaded.model)
    torch.manual_seed(99)
    assert not torch.equal(state, torch.get_rng_state())
    expected = torch.get_rng_state()
    run(tmp_path / "c", dropout=0.2)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("stop", [1, 2, 5, 7])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, stop, monkeypatch):
    run(tmp_path / "whole", dropout=0.2)

    original = Trainer._step

    def dies(self, batches, reporter):
        if self.progress.step == stop:
            raise KeyboardInterrupt
        original(self, batches, reporter)

    monkeypatch.setattr(Trainer, "_step", dies)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", dropout=0.2)
    monkeypatch.setattr(Trainer, "_step", original)
    _, resumed, _ = run(tmp_path / "cut", resume=True, dropout=0.2)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert [e["step"] for e in events(tmp_path / "cut", "evaluation")] == [0, 4, 8]
    again, _ = load_model(tmp_path / "cut" / "model"), load_model(tmp_path / "whole" / "model")
    assert same_weights(again.model, load_model(tmp_path / "whole" / "model").model)
    assert resumed.progress.step == 8


def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(tmp_path):
    run(tmp_path / "whole", dropout=0.0)
    run(tmp_path / "parts", dataclasses.replace(CONFIG, micro_batch_size=1), dropout=0.0)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
    norms = [[event["gradient_norm"] for event in events(tmp_path / name)] for name in ("whole", "parts")]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)


def test_the_loss_falls_and_the_best_model_is_kept(tmp_path):
    config = dataclasses.replace(
        CONFIG, num_steps=40, evaluate_every=10, batch_size=16, micro_batch_size=16, learning_rate=1e-2
    )
    best, _, said = run(tmp_path, config, task=MOTIF_TASK)
    values = {event["step"]: event["loss"][0] for event in events(tmp_path, "evaluation")}
    assert values[40] < 0.9 * values[0]
    assert best.notes["step"] == min(values, key=values.get)
    assert evaluate(best, VALIDATION)["loss"].value == pytest.approx(min(values.values()), rel=1e-6)
    assert "after step 40: loss" in said


def test_early_stopping_waits_for_patience_evaluations(tmp_path):
    config = dataclasses.replace(CONFIG, num_steps=100, evaluate_every=1, patience=3, learning_rate=1e-12)
    _, made, said = run(tmp_path, dataclasses.replace(config, watch="accuracy"))
    assert made.progress.step == 3
    assert "stopped after step 3: no better accuracy since 0" in said


def test_a_run_that_has_stopped_early_stops_at_once_when_resumed_and_goes_on_with_more_patience(tmp_path):
    config = dataclasses.replace(CONFIG, num_steps=6, evaluate_every=1, patience=2, learning_rate=1e-12)
    config = dataclasses.replace(config, watch="accuracy")
    run(tmp_path, config)
    _, made, said = run(tmp_path, config, resume=True)
    assert made.progress.step == 2
    assert len(losses(tmp_path)) == 2
    assert "stopped after step 2: no better accuracy since 0" in said
    _, made, _ = run(tmp_path, dataclasses.replace(config, patience=4), resume=True)
    assert made.progress.step == 4


def test_resuming_a_finished_run_says_that_nothing_is_left_to_do(tmp_path):
    run(tmp_path)
    best, made, said = run(tmp_path, resume=True)
    assert "nothing is left to do: step 8 of 8 is done" in said
    assert (made.progress.step, len(losses(tmp_path))) == (8, 8)
    assert same_weights(best.model, load_model(tmp_path / "model").model)


@pytest.mark.parametrize("num_steps", [8, 12])
def test_a_run_whose_best_model_is_gone_keeps_the_next_that_is_scored(tmp_path, num_steps):
    run(tmp_path)
    shutil.rmtree(tmp_path / "model")
    best, made, said = run(tmp_path, dataclasses.replace(CONFIG, num_steps=num_steps), resume=True)
    assert f"{tmp_path / 'model'}, the best model so far, is gone; that of step 8 is scored and takes its place" in said
    assert made.progress.step == num_steps
    assert best.notes["step"] >= 8


def test_bfloat16_keeps_weights_in_float32_and_learns(tmp_path):
    _, made, _ = run(tmp_path, dataclasses.replace(CONFIG, precision="bfloat16"))
    assert {parameter.dtype for parameter in made.loaded.model.parameters()} == {torch.float32}
    run(tmp_path / "full")
    assert losses(tmp_path) != losses(tmp_path / "full")
    assert losses(tmp_path) == pytest.approx(losses(tmp_path / "full"), rel=0.05)


def test_a_step_without_a_finite_gradient_changes_nothing_and_three_in_a_row_stop_the_run(tmp_path):
    made = trainer(tmp_path)
    made.begin()
    made.loaded.model.classifier.bias.data.fill_(float("inf"))
    before = {name: tensor.clone() for name, tensor in made.loaded.model.state_dict().items()}
    console = Console(file=io.StringIO(), width=200)
    with (
        Reporter(tmp_path, num_steps=8, first_step=0, console=console) as reporter,
        pytest.raises(
            TrainingFailed,
            match=r"3 steps in a row gave no finite loss and gradient; the weights are those of step 0, and \S+state",
        ),
    ):
        made.run(reporter)
    assert all(torch.equal(before[name], tensor) for name, tensor in made.loaded.model.state_dict().items())
    said = console.file.getvalue()
    assert "step 1 skipped: loss nan, gradient norm nan; it read the records at positions 0 to 3 of the" in said
    assert "step 3 skipped: loss nan, gradient norm nan; it read the records at positions 8 to 11 of the" in said
    assert len(events(tmp_path)) == 3


def test_a_loss_that_is_not_finite_skips_the_step_even_where_the_gradient_is(tmp_path, monkeypatch):
    made = trainer(tmp_path)
    monkeypatch.setattr(Learner, "_accumulate", lambda *_: (math.inf, 4.0, 0.0))
    before = {name: tensor.clone() for name, tensor in made.loaded.model.state_dict().items()}
    for parameter in made.loaded.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    monkeypatch.setattr(made.learner.optimizer, "zero_grad", lambda: None)
    assert made.learner.step(0, []).loss == math.inf
    assert all(torch.equal(before[name], tensor) for name, tensor in made.loaded.model.state_dict().items())
    monkeypatch.setattr(Learner, "_accumulate", lambda *_: (1.0, 4.0, 0.0))
    made.learner.step(0, [])
    assert not all(torch.equal(before[name], tensor) for name, tensor in made.loaded.model.state_dict().items())


def test_skipped_steps_that_do_not_come_in_a_row_go_by_and_max_skipped_sets_how_many_may(tmp_path, monkeypatch):
    def spoiled(self, step, batches):
        return learn(self, step, batches) if step in (2, 4) else StepResult(math.nan, math.nan, 1)

    learn = Learner.step
    monkeypatch.setattr(Learner, "step", spoiled)
    with pytest.raises(
        TrainingFailed, match="3 steps in a row gave no finite loss and gradient; the weights are those of"
    ):
        run(tmp_path / "three")
    assert len(events(tmp_path / "three")) == 8
    with pytest.raises(
        TrainingFailed, match=r"2 steps in a row .*\. The last one read the records at positions 4 to 7 of"
    ):
        run(tmp_path / "two", dataclasses.replace(CONFIG, max_skipped=2))


@pytest.mark.parametrize("good_steps", [0, 3])
def test_a_run_that_failed_keeps_the_weights_of_its_last_good_step(tmp_path, monkeypatch, good_steps):
    kept = {}

    def spoiled(self, step, batches):
        if step >= good_steps:
            kept.update({name: tensor.clone() for name, tensor in self.loaded.model.state_dict().items()})
            return StepResult(math.nan, math.nan, 1)
        return learn(self, step, batches)

    learn = Learner.step
    monkeypatch.setattr(Learner, "step", spoiled)
    with pytest.raises(TrainingFailed, match=f"the weights are those of step {good_steps}, and"):
        run(tmp_path, dataclasses.replace(CONFIG, save_every=100))
    resumed = trainer(tmp_path, seed=1)
    resumed.resume()
    assert resumed.progress.step == good_steps + 3
    assert all(torch.equal(kept[name], tensor) for name, tensor in resumed.loaded.model.state_dict().items())


def test_resuming_without_a_state_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no saved state to resume from; begin a new run"):
        trainer(tmp_path).resume()


def test_an_unknown_metric_to_watch_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(ConfigError, match=r"training.watch must be one of loss, accuracy, .*got 'acuracy'"):
        run(tmp_path, dataclasses.replace(CONFIG, watch="acuracy"))
    assert not list(tmp_path.iterdir())


def test_a_watched_metric_without_a_value_is_refused_before_the_first_step(tmp_path):
    one_class = [record for record in VALIDATION if record.labels == ("yes",)]
    message = (
        r"training.watch is 'auroc/yes', which is nan for these validation records, so no model could be the best\. "
        r".*all records carry the same label.* or watch another metric: loss, accuracy, matthews"
    )
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, dataclasses.replace(CONFIG, watch="auroc/yes"), validation=one_class)
    assert not list(tmp_path.iterdir())


def test_a_value_that_is_not_finite_is_never_the_best(tmp_path, monkeypatch):
    values = iter([3.0, math.nan, -math.inf, 2.0, math.nan])
    monkeypatch.setattr(
        "bigbird.training.trainer.evaluate", lambda *_: {"loss": Estimate(next(values), math.nan, math.nan)}
    )
    best, made, _ = run(tmp_path, dataclasses.replace(CONFIG, evaluate_every=2))
    assert (made.progress.best, made.progress.best_step, made.progress.stale) == (2.0, 6, 1)
    assert best.notes["step"] == 6


@pytest.mark.parametrize(
    ("metric", "value", "best", "expected"),
    [
        ("loss", 1.0, 2.0, True),
        ("loss", 2.0, 2.0, False),
        ("median_distance/motif", 1.0, 2.0, True),
        ("accuracy", 0.5, 0.4, True),
        ("auroc/yes", 0.4, 0.5, False),
        ("accuracy", math.inf, 0.5, False),
        ("loss", -math.inf, 0.5, False),
    ],
)
def test_which_of_two_values_is_better_depends_on_the_metric(metric, value, best, expected):
    assert is_better(value, best, metric=metric) is expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 0}, "training.num_steps must be at least 1, got 0"),
        ({"batch_size": 6, "micro_batch_size": 4}, "training.batch_size 6 must be a multiple of micro_batch_size 4"),
        ({"learning_rate": 0.0}, "training.learning_rate must be a finite number above 0, got 0.0"),
        ({"learning_rate": math.nan}, "training.learning_rate must be a finite number above 0, got nan"),
        ({"learning_rate": math.inf}, "training.learning_rate must be a finite number above 0, got inf"),
        ({"clip_norm": math.nan}, "training.clip_norm must be a finite number above 0, got nan"),
        ({"patience": -1}, "training.patience must be at least 0, got -1"),
        ({"keep_states": 1}, "training.keep_states must be at least 2, got 1"),
        ({"max_skipped": 0}, "training.max_skipped must be at least 1, got 0"),
        ({"warmup_steps": -4}, "training.warmup_steps must be at least 0, got -4"),
        ({"weight_decay": -1.0}, "training.weight_decay must be a finite number, 0 or above, got -1.0"),
        ({"weight_decay": math.nan}, "training.weight_decay must be a finite number, 0 or above, got nan"),
        ({"betas": (1.5, 2.0)}, r"training.betas must be two numbers, each in \[0, 1\), got \[1.5, 2.0\]"),
        ({"betas": (0.9, math.nan)}, r"training.betas must be two numbers, each in \[0, 1\), got \[0.9, nan\]"),
        ({"betas": (0.9,)}, r"training.betas must be two numbers, each in \[0, 1\), got \[0.9\]"),
        ({"seed": -1}, r"training.seed must be from 0 to 2\*\*63 - 1, got -1"),
        ({"seed": 2**63}, r"training.seed must be from 0 to 2\*\*63 - 1, got 9223372036854775808"),
        (
            {"schedule": "step"},
            "training.schedule must be one of linear, cosine, inverse-square-root, constant, got 'step'",
        ),
        ({"precision": "bf16"}, "training.precision must be one of float32, bfloat16, got 'bf16'"),
    ],
)
def test_a_config_that_makes_no_run_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("linear", [0.5, 1.0, 1.0, 0.5, 0.0]), ("cosine", [0.5, 1.0, 1.0, 0.5, 0.0]), ("constant", [0.5, 1, 1, 1, 1])],
)
def test_schedules(schedule, expected):
    factors = [learning_rate_factor(step, num_steps=10, warmup_steps=2, schedule=schedule) for step in (0, 1, 2, 6, 10)]
    assert factors == pytest.approx(expected)


def test_norms_and_biases_are_not_decayed():
    groups = trainer(Path("unused")).learner.optimizer.param_groups
    assert {parameter.ndim for parameter in groups[0]["params"]} == {2}
    assert {parameter.ndim for parameter in groups[1]["params"]} == {1}
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (CONFIG.weight_decay, 0)
    assert encoder_config().num_layers == 2
