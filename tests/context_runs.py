"""Runs whose rows are shared, for tests/training/test_context_runs.py: processes start from here."""

import dataclasses
import io
from typing import cast

from rich.console import Console

from bigbird.data.sources import FixedRecords
from bigbird.tasks import MaskedLM
from bigbird.training.distributed import joined
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.silence import Silence
from bigbird.training.trainer import Trainer
from helpers import loaded_model, motif_records

CONFIG = TrainingConfig(
    num_steps=4, batch_size=4, micro_batch_size=2, learning_rate=1e-2, evaluate_every=4, save_every=4, seed=3
)
# name -> (number of processes, settings)
RUNS = {
    "two parts": (2, dataclasses.replace(CONFIG, context_parallel=2)),
    "two parts, two teams": (4, dataclasses.replace(CONFIG, context_parallel=2)),
    "four parts, weights spread": (
        4,
        dataclasses.replace(CONFIG, context_parallel=4, sharding="fsdp", checkpoint_activations=True),
    ),
}


def run(folder, config, ranks):
    """Train in `folder`."""
    trainer = Trainer(
        loaded_model(MaskedLM(max_length=400), dropout=0.0),
        config,
        source=FixedRecords(motif_records(8, length=150)),
        validation=motif_records(3, seed=1),
        folder=folder,
        ranks=ranks,
    )
    if ranks.count > 1:
        trainer.batches.check_alike()
    console = Console(file=io.StringIO())
    speaker = Reporter(folder, num_steps=config.num_steps, first_step=0, console=console)
    with speaker if ranks.is_first else cast("Reporter", Silence()) as reporter:
        trainer.run(reporter)


def everything(folder):
    """All runs for as many processes as there are."""
    with joined() as ranks:
        for name, (count, config) in RUNS.items():
            if count == ranks.count:
                run(folder / name, config, ranks)
