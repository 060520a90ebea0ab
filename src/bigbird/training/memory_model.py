"""How much memory a run will need, and what would make it need less; told before it starts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from bigbird.checkpoint import LoadedModel
from bigbird.data.packing import TokenRow
from bigbird.data.segment_pairs import PairRow
from bigbird.data.sources import RecordSource, shuffled
from bigbird.errors import ConfigError
from bigbird.machine import give_back_freed_memory
from bigbird.tasks.base import MAX_TOKENS_PER_BATCH, device_of
from bigbird.training.batches import Batches
from bigbird.training.distributed import Ranks
from bigbird.training.freed_memory import TOLERATED
from bigbird.training.memory_counting import Counted, count
from bigbird.training.memory_used import memory_used
from bigbird.training.row_lengths import row_lengths
from bigbird.training.settings import TrainingConfig

_FLOAT32 = 4
_OPTIMIZER_BYTES = {"adamw": 8, "adafactor": 0}  # per weight: AdamW's two averages; Adafactor keeps rows and columns


class Gaps(NamedTuple):
    """Freed memory that nothing fits into, in bytes for each byte of activations and of weights."""

    activations: float
    weights: float

    def piling_up(self) -> Gaps:
        """When steps differ in length: pieces pile up until they are given back, see `freed_memory`."""
        return self._replace(activations=(1 + TOLERATED) * (1 + self.activations) - 1)


# Fitted to measured runs (benchmarks/memory_model.py). There is more of it when a step has several micro-batches:
# gradients, made between the activations of the first, stay where they are. Most of it is where activations are
# computed again: what is kept of a layer lies between what all of them use in passing.
_GAPS, _GAPS_OF_SEVERAL, _GAPS_RECOMPUTED = Gaps(0.3, 1.0), Gaps(0.8, 2.0), Gaps(1.5, 1.2)
_GAPS_ON_GPU = Gaps(0.05, 0.0)


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes a run needs at its worst moment.

    process      the program itself, with the libraries it has loaded
    state        weights, gradients and what the optimizer keeps
    saved        the copy of weights and optimizer that is written while the run goes on
    activations  what is computed on the way: kept for gradients, or in passing
    gaps         freed memory that nothing fits into
    """

    process: float
    state: float
    saved: float
    activations: float
    gaps: float

    @property
    def certain(self) -> float:
        """What it takes at the very least: without gaps."""
        return self.process + self.state + self.saved + self.activations

    @property
    def total(self) -> float:
        """All of it."""
        return self.certain + self.gaps


class MemoryModel:
    """Foresees the memory of a run that begins with `loaded`; counts when made, see `memory_counting`.

    num_validation  records of an evaluation
    """

    def __init__(
        self, loaded: LoadedModel, config: TrainingConfig, source: RecordSource, *, num_validation: int, ranks: Ranks
    ) -> None:
        self._loaded, self._config, self._source, self._ranks = loaded, config, source, ranks
        self.kind = device_of(loaded.model).type
        self._num_weights = sum(parameter.numel() for parameter in loaded.model.parameters())
        self.batches = Batches(loaded, config, source, ranks)
        self._tokens, self._is_varied = row_lengths(self.batches)
        self._counted = self._count(config)
        a_record = self._tokens / config.micro_batch_size
        self._scored = min(max(MAX_TOKENS_PER_BATCH, a_record), num_validation * a_record)
        self._shards = ranks.count if config.sharding == "fsdp" else 1
        self._process = resident_bytes() - _FLOAT32 * self._num_weights / self._shards if self.kind == "cpu" else 0

    def _count(self, config: TrainingConfig) -> Counted:
        return count(self._loaded, config, self._source, num_tokens=self._tokens)

    def need(self, *, share: float = 1.0, counted: Counted | None = None) -> Need:
        """Of the run, or with a share of its tokens per micro-batch, or counted under other settings."""
        counted = counted or self._counted
        all_weights = _FLOAT32 * self._num_weights
        all_averages = _OPTIMIZER_BYTES[self._config.optimizer] * self._num_weights
        weights, averages = all_weights / self._shards, all_averages / self._shards
        tokens = share * self._tokens / self._config.context_parallel
        learning = counted.learning(tokens, num_layers=self._loaded.encoder.num_layers)
        gaps = self._gaps(share, is_recomputed=counted.is_recomputed)
        scoring = counted.scoring(self._scored) + all_weights - weights  # which are put together to score
        activations = max(learning, scoring)
        return Need(
            process=max(0, self._process),
            state=2 * weights + averages,
            saved=all_weights + all_averages if self.kind == "cpu" else 0,  # process 0 has all of it
            activations=activations,
            gaps=gaps.activations * activations + gaps.weights * weights,
        )

    def _gaps(self, share: float, *, is_recomputed: bool) -> Gaps:
        if self.kind != "cpu":
            return _GAPS_ON_GPU
        at_once = self._config.micro_batch_size * self._ranks.count // self._config.context_parallel
        is_plain = self._config.batch_size == at_once and share == 1
        gaps = _GAPS_RECOMPUTED if is_recomputed else _GAPS if is_plain else _GAPS_OF_SEVERAL
        return gaps.piling_up() if self._is_varied else gaps

    def cures(self, available: float) -> Iterator[tuple[str, Need]]:
        """Settings under which the run fits into so many bytes, the least change first."""
        config = self._config
        sizes = range(config.micro_batch_size - 1, 0, -1)
        num_teams = self._ranks.count // config.context_parallel
        smaller = [size for size in sizes if config.batch_size % (size * num_teams) == 0]
        for size in smaller:
            need = self.need(share=size / config.micro_batch_size)
            if need.total <= available:
                yield f"--set training.micro_batch_size={size}", need
                break
        if not config.checkpoint_activations:
            cheaper = self._count(replace(config, checkpoint_activations=True))
            need = self.need(counted=cheaper)
            if need.total <= available:
                yield "--set training.checkpoint_activations=true", need
            elif smaller and (need := self.need(share=1 / config.micro_batch_size, counted=cheaper)).total <= available:
                yield "--set training.checkpoint_activations=true --set training.micro_batch_size=1", need
        setting, share = self._shorter()
        if (need := self.need(share=share)).total <= available:
            yield setting, need

    def _shorter(self) -> tuple[str, float]:
        """The setting that halves what is read at once, and the share of a micro-batch's tokens that it leaves."""
        task: Any = self._loaded.task
        if isinstance(shuffled(self._source, 0, seed=self._config.seed), TokenRow | PairRow):
            return f"--set data.row_length={self._tokens // self._config.micro_batch_size // 2}", 0.5
        setting = f"--set task.max_length={task.max_length // 2}"
        try:
            shorter = replace(self._loaded, task=replace(task, max_length=task.max_length // 2))
        except ConfigError:  # too short for the overlap of its windows
            return setting, 1.0
        # Long records come in windows: whether shorter ones leave fewer tokens is seen on the records alone.
        return setting, row_lengths(replace(self.batches, loaded=shorter)).longest / self._tokens


def resident_bytes() -> int:
    """Memory this process holds, after it has given back what it does not use; 0 where the system does not tell."""
    gc.collect()
    return memory_used().resident if give_back_freed_memory() else 0
