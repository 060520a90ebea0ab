"""A training step of ours against a plain PyTorch loop over the same batches.

    python benchmarks/training_step.py --out benchmarks/results/training_step.json

Masked language modelling on random DNA, one document per micro-batch. `plain` is what one writes by hand: forward,
backward, gradient clipping, fused AdamW, dropout from the global generator. `learner` is `Learner.step` (gradients of
summed losses divided once, seeds from the step's number, learning rate set); `run` is that with everything else a run
does in a step: batches made in a thread beside it, metrics.jsonl, progress. All three first learn without dropout and
must come to the same losses; then they are timed in turn, and `times_the_first` is the median (least, most) of the
rounds' own ratios to `plain`.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bigbird.bench.about import about
from bigbird.bench.timing import in_turn
from bigbird.checkpoint import LoadedModel
from bigbird.data.files import json_text
from bigbird.data.records import Record
from bigbird.data.sources import FixedRecords
from bigbird.errors import WrongAnswer
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import Batch, MaskedLM
from bigbird.tokenizers import DnaTokenizer
from bigbird.training.batches import Batches
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.step import Learner

NUM_RECORDS = 64
ALLOWED_ERROR = 1e-5  # between losses of the same step without dropout
Step = Callable[[int], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained."""

    length: int
    hidden_size: int
    num_layers: int
    micro_batches: int = 2
    rounds: int

    def training(self) -> TrainingConfig:
        """One document per micro-batch; steps enough for everybody who takes part."""
        return TrainingConfig(num_steps=10 * self.rounds + 100, batch_size=self.micro_batches, micro_batch_size=1)

    def loaded(self, dropout: float) -> LoadedModel:
        """A new model, always the same."""
        tokenizer = DnaTokenizer.single_base()
        config = EncoderConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_layers,
            num_heads=self.hidden_size // 64,
            inner_size=4 * self.hidden_size,
            max_length=self.length,
            dropout=dropout,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MaskedLM(max_length=self.length).build_model(config)
        return LoadedModel(model, config, MaskedLM(max_length=self.length), tokenizer, {})

    def source(self) -> FixedRecords:
        """Documents that fill a window: [CLS], bases, [SEP]."""
        letters = random.Random(0)  # noqa: S311  no secret
        texts = ("".join(letters.choices("ACGT", k=self.length - 2)) for _ in range(NUM_RECORDS))
        return FixedRecords([Record(name=f"document {index}", sequence=text) for index, text in enumerate(texts)])


def plain(setting: Setting, dropout: float, batches: list[list[Batch]]) -> Step:
    """The loop people write."""
    loaded, config = setting.loaded(dropout), setting.training()
    model, task = loaded.model.train(), loaded.task
    groups = [
        {"params": [weight for weight in model.parameters() if weight.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [weight for weight in model.parameters() if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)

    def step(number: int) -> float:
        optimizer.zero_grad()
        total, count = 0.0, 0.0
        micro_batches = batches[number % len(batches)]
        num_targets = sum(int((batch.weights > 0).sum()) for batch in micro_batches)
        for batch in micro_batches:
            loss = task.loss(model, batch)
            (loss.total / num_targets).backward()
            total, count = total + float(loss.total.detach()), count + float(loss.num_targets)
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - number / config.num_steps)
        optimizer.step()
        return total / count

    return step


def learner(setting: Setting, dropout: float, batches: list[list[Batch]]) -> Step:
    """`Learner.step` alone."""
    made = Learner(setting.loaded(dropout), setting.training())
    return lambda number: made.step(number, batches[number % len(batches)]).loss


def whole_run(setting: Setting, dropout: float, folder: Path) -> Step:
    """With batches made beside it, and told."""
    loaded, config = setting.loaded(dropout), setting.training()
    made, coming = Learner(loaded, config), Batches(loaded, config, setting.source()).from_step(0)
    reporter = Reporter(folder, num_steps=config.num_steps, first_step=0)

    def step(number: int) -> float:
        result = made.step(number, next(coming))
        values = {"loss": result.loss, "gradient_norm": result.gradient_norm, "learning_rate": 0.0}
        reporter.step(number + 1, {**values, "tokens_per_second": float(result.num_tokens), "seconds": 1.0})
        return result.loss

    return step


def subjects(setting: Setting, dropout: float, folder: Path) -> dict[str, Callable[[], float]]:
    """Each call is the next step of one of them."""
    making = Batches(setting.loaded(dropout), setting.training(), setting.source())
    batches = [making.of_step(step) for step in range(NUM_RECORDS // setting.micro_batches)]
    steps = {
        "plain": plain(setting, dropout, batches),
        "learner": learner(setting, dropout, batches),
        "run": whole_run(setting, dropout, folder),
    }
    return {name: _counted(step) for name, step in steps.items()}


def _counted(step: Step) -> Callable[[], float]:
    numbers = iter(range(10**9))
    return lambda: step(next(numbers))


def check(setting: Setting, folder: Path) -> float:
    """The largest difference between losses; an error when it is not that of rounding."""
    runs = subjects(setting, 0.0, folder)
    losses = {name: [run() for _ in range(3)] for name, run in runs.items()}
    error = max(abs(a - b) for ours in losses.values() for a, b in zip(ours, losses["plain"], strict=True))
    if not error <= ALLOWED_ERROR:
        raise WrongAnswer(f"losses differ by {error:.1e} (allowed {ALLOWED_ERROR:.0e}): nothing is timed")
    return error


def main() -> None:
    """Check, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--num-layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=31)
    chosen = parser.parse_args()
    setting = Setting(
        length=chosen.length, hidden_size=chosen.hidden_size, num_layers=chosen.num_layers, rounds=chosen.rounds
    )
    with tempfile.TemporaryDirectory() as folder:
        difference = check(setting, Path(folder) / "check")
        timings = in_turn(subjects(setting, 0.1, Path(folder) / "timed"), rounds=setting.rounds, say=print)
    results = {name: {part: value._asdict() for part, value in t._asdict().items()} for name, t in timings.items()}
    for name, timing in timings.items():
        print(f"{name:8} {timing.seconds.median:.4f} s   {timing.times_the_first.median:.3f} times plain")
    content = {
        "about": about(),
        "setting": dataclasses.asdict(setting),
        "largest_difference": difference,
        "results": results,
    }
    chosen.out.write_text(json_text(content))


if __name__ == "__main__":
    main()
