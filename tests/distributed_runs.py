"""What the two processes of tests/training/test_distributed.py do; process 0 writes down what came of it."""

import dataclasses
import io
import json
import math

import torch
from rich.console import Console
from safetensors.torch import save_file

from bigbird.data.sources import FixedRecords
from bigbird.errors import CheckpointError, DataError
from bigbird.tasks import MaskedLM
from bigbird.training.batches import Batches
from bigbird.training.distributed import joined
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.silence import Silence
from bigbird.training.step import Learner
from bigbird.training.trainer import Trainer
from helpers import YES_NO, loaded_model, motif_records

CONFIG = TrainingConfig(
    num_steps=4, batch_size=8, micro_batch_size=2, learning_rate=3e-3, evaluate_every=2, save_every=2, seed=3
)
FSDP = dataclasses.replace(CONFIG, sharding="fsdp")
TASKS = {"classification": YES_NO, "masked-lm": MaskedLM(max_length=128)}
# name -> (task, settings); each is run by one process, and by two
RUNS = {
    "ddp": ("classification", CONFIG),
    "fsdp": ("classification", FSDP),
    "fsdp-masked": ("masked-lm", FSDP),
    "fsdp-bfloat16": ("masked-lm", dataclasses.replace(FSDP, precision="bfloat16", num_steps=2)),
    "ddp-options": (
        "masked-lm",
        dataclasses.replace(CONFIG, num_steps=2, checkpoint_activations=True, optimizer="adafactor"),
    ),
    "context": ("masked-lm", dataclasses.replace(CONFIG, context_parallel=2)),
    "fsdp-context": ("masked-lm", dataclasses.replace(FSDP, context_parallel=2, checkpoint_activations=True)),
    "fsdp-checkpointed": ("masked-lm", dataclasses.replace(FSDP, num_steps=2, checkpoint_activations=True)),
}


def run(folder, name, ranks, *, num_steps=None, resume=False):
    """The trainer of a run, afterwards."""
    task, config = RUNS[name]
    if ranks.count == 1:
        config = dataclasses.replace(config, context_parallel=1)
    whole = config if num_steps is None else dataclasses.replace(config, num_steps=num_steps, schedule="constant")
    trainer = Trainer(
        loaded_model(TASKS[task], dropout=0.0 if "context" in name else 0.2),
        whole,
        source=FixedRecords(motif_records(20)),
        validation=motif_records(7, seed=1),
        folder=folder,
        ranks=ranks,
    )
    if resume:
        trainer.resume()
    with _reporter(folder, whole.num_steps, trainer.progress.step) if ranks.is_first else Silence() as reporter:
        trainer.run(reporter)
    return trainer


def _reporter(folder, num_steps, first_step):
    return Reporter(folder, num_steps=num_steps, first_step=first_step, console=Console(file=io.StringIO()))


def everything(folder):
    """All that two processes have to show, in one launch: starting them takes longer than what they do."""
    with joined() as ranks:
        for name in RUNS:
            run(folder / name, name, ranks)
        for layout in ("ddp", "fsdp"):
            run(folder / f"{layout}-begun-by-two", layout, ranks, num_steps=2)
            trainer = run(folder / f"{layout}-begun-by-one", layout, ranks, num_steps=4, resume=True)
            weights = trainer.learner.engine.weights()
            assert bool(weights) == ranks.is_first
            if ranks.is_first:
                save_file(weights, folder / f"{layout}-resumed.safetensors")
        found = _messages(ranks)
        found["skipped"] = [_skips(ranks, sharding) for sharding in ("none", "fsdp")]
        found["put back"] = _refused_weights(ranks)
        found["places"] = _places_of_a_row(ranks)
        (folder / f"found-{ranks.rank}.json").write_text(json.dumps(found))


def _messages(ranks):
    def fails():
        raise DataError(f"found by process {ranks.rank}")

    try:
        ranks.on_first(fails)
    except DataError as error:
        told = str(error)
    return {
        "summed": ranks.summed(1 + ranks.rank, 0.5),
        "any": [ranks.any_of(ranks.rank == 1), ranks.any_of(False)],
        "all": [ranks.all_of(ranks.rank == 1), ranks.all_of(True)],
        "gathered": ranks.gathered([place for place in range(7) if place % 2 == ranks.rank]),
        "from first": ranks.from_first({"step": 3 + ranks.rank}),
        "told": told,
    }


def _skips(ranks, sharding):
    """True when both processes leave all weights as they are although only process 1 sees a gradient that is NaN."""
    config = dataclasses.replace(CONFIG, sharding=sharding)
    learner = Learner(loaded_model(YES_NO), config, ranks)
    before = learner.engine.weights()
    learner.engine.called(*_some_input())
    for parameter in learner.loaded.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    learner.engine.apply_gradients(is_usable=math.isfinite(math.nan if ranks.rank else 1.0))
    after = learner.engine.weights()
    unchanged = all(torch.equal(before[name], after[name]) for name in before)
    learner.engine.apply_gradients(is_usable=True)
    changed = learner.engine.weights()
    return unchanged and (not ranks.is_first or any(not torch.equal(before[name], changed[name]) for name in before))


def _places_of_a_row(ranks):
    """How many places of a micro-batch's row this process computed, and how many there are."""
    learner = Learner(loaded_model(TASKS["masked-lm"], dropout=0.0), RUNS["context"][1], ranks)
    batches = Batches(learner.loaded, learner.config, FixedRecords(motif_records(20)), ranks).of_step(0)[:1]
    computed = []
    learner.engine.called.register_forward_pre_hook(lambda _, inputs: computed.append(len(inputs[0])))
    learner.step(0, batches)
    return [*computed, len(batches[0].token_ids)]


def _some_input():
    batch = YES_NO.collate(
        YES_NO.encode(motif_records(1)[0], loaded_model(YES_NO).tokenizer, purpose="train"), block_size=16
    )
    return batch.token_ids, batch.layout


def _refused_weights(ranks):
    engine = Learner(loaded_model(YES_NO), FSDP, ranks).engine
    weights = engine.weights()
    weights.pop("classifier.bias", None)
    try:
        engine.put_back(weights=weights, optimizer_tensors={})
    except CheckpointError as error:
        return str(error)
    return ""
