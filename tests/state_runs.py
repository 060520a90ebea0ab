"""What the two processes of tests/training/test_state_distributed.py do; each writes down what came of it."""

import json
import os
import signal

from bigbird.errors import RunStopped, TrainingFailed
from bigbird.training.distributed import joined
from bigbird.training.state_store import StateStore
from bigbird.training.step import Learner
from distributed_runs import run

LAYOUTS = ("ddp", "fsdp")


def everything(folder):
    with joined() as ranks:
        found = {}
        for layout in LAYOUTS:
            run(folder / f"{layout}-whole", layout, ranks)
            found[f"{layout} stopped"] = _stopped_in_one(folder / f"{layout}-cut", layout, ranks)
            run(folder / f"{layout}-cut", layout, ranks, resume=True)
        found["not written"] = _not_written(folder / "full", ranks)
        (folder / f"found-{ranks.rank}.json").write_text(json.dumps(found))


def _stopped_in_one(folder, layout, ranks):
    """SIGTERM to process 1 alone, in its third step."""
    learn = Learner.step

    def stopping(self, step, batches):
        if step == 2 and not ranks.is_first:
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(self, step, batches)

    Learner.step = stopping
    try:
        run(folder, layout, ranks)
    except RunStopped as stop:
        return [str(stop).partition(",")[0], stop.exit_code]
    finally:
        Learner.step = learn


def _not_written(folder, ranks):
    """The disk of process 0 is full when the first state is to be written."""
    write = StateStore.write

    def full(*_, **__):
        raise TrainingFailed("the disk is full")

    StateStore.write = full
    try:
        run(folder, "ddp", ranks)
    except TrainingFailed as error:
        return str(error)
    finally:
        StateStore.write = write
