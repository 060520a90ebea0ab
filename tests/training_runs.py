"""A small run and what it leaves, shared by the tests of training."""

import io
import json

import torch
from rich.console import Console

from bigbird.data.sources import FixedRecords
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.trainer import Trainer
from helpers import YES_NO, loaded_model, motif_records

CONFIG = TrainingConfig(
    num_steps=8, batch_size=4, micro_batch_size=4, learning_rate=1e-3, evaluate_every=4, save_every=2, seed=3
)
SOURCE, VALIDATION = FixedRecords(motif_records(20)), motif_records(6, seed=1)


def trainer(folder, config=CONFIG, task=YES_NO, source=SOURCE, validation=VALIDATION, **changes):
    loaded = loaded_model(task, **changes)
    return Trainer(loaded, config, source=source, validation=validation, folder=folder)


def run(folder, config=CONFIG, *, resume=False, **arguments):
    made = trainer(folder, config, **arguments)
    if resume:
        made.resume()
    console = Console(file=io.StringIO(), width=200)
    with Reporter(folder, num_steps=config.num_steps, first_step=made.progress.step, console=console) as reporter:
        best = made.run(reporter)
    return best, made, console.file.getvalue()


def events(folder, kind="step"):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def losses(folder):
    return [event["loss"] for event in events(folder)]


def same_weights(one, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())
