"""What a run needs to go on as if it had never stopped: weights, optimizer, counters, and how far its metrics reach.

Nothing else is needed. Batches, masks, dropout and the learning rate are functions of the step's number
(`bigbird.randomness`), so there is no place in the data and no generator to save.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from safetensors import SafetensorError

from bigbird.errors import CheckpointError
from bigbird.training.engine_state import Tensors
from bigbird.training.state_manifest import NotedFile
from bigbird.training.state_store import Write
from bigbird.training.state_tensors import read_tensors, write_tensors

_STATE_FILE, _WEIGHTS_FILE, _OPTIMIZER_FILE = "state.json", "weights.safetensors", "optimizer.safetensors"


@dataclass
class Progress:
    """Counters of a run.

    step            steps done; skipped ones count
    best            the watched metric's best value so far, reached after `best_step`
    stale           evaluations since then
    skipped         steps in a row, up to now, that were skipped
    evaluation_due  True while the weights of `step` are still to be evaluated, as those of step 0 are at first
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    skipped: int = 0
    num_tokens: int = 0
    evaluation_due: bool = True


@dataclass(frozen=True, kw_only=True)
class State:
    """A run at one moment. The tensors are its own, on the CPU: training may go on while they are written.

    metrics_bytes  the size of metrics.jsonl
    weights        by the model's names
    optimizer      "name of the weight/name of the optimizer's": "encoder.layers.0.norm.weight/exp_avg"
    """

    progress: Progress
    metrics_bytes: int
    weights: Tensors
    optimizer: Tensors

    @property
    def num_bytes(self) -> int:
        """About what it takes on a disk."""
        return sum(tensor.nbytes for tensors in (self.weights, self.optimizer) for tensor in tensors.values())

    def files(self) -> dict[str, Write]:
        """The files of the state, by name, and what writes them."""
        return {
            _WEIGHTS_FILE: partial(write_tensors, tensors=self.weights),
            _OPTIMIZER_FILE: partial(write_tensors, tensors=self.optimizer),
            _STATE_FILE: self._write_counters,
        }

    def _write_counters(self, file: NotedFile) -> None:
        versions = {package: metadata.version(package) for package in ("bigbird", "torch", "safetensors")}
        content = {"progress": asdict(self.progress), "metrics_bytes": self.metrics_bytes, "versions": versions}
        file.write((json.dumps(content, indent=2) + "\n").encode())


def read_state(folder: Path) -> State:
    """The state in a folder that is sound (see `StateStore.newest_sound`)."""
    try:
        content = json.loads((folder / _STATE_FILE).read_bytes())
        return State(
            progress=Progress(**content["progress"]),
            metrics_bytes=int(content["metrics_bytes"]),
            weights=read_tensors(folder / _WEIGHTS_FILE),
            optimizer=read_tensors(folder / _OPTIMIZER_FILE),
        )
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} is sound but not what this bigbird writes: {error!r}. Resume with the version that saved it, "
            f"which its {_STATE_FILE} names."
        ) from error
