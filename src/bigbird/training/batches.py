"""The batches of each step: a function of the step's number alone, prepared while the model computes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch.nn.functional as F

from bigbird.attention import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.data.sources import RecordSource, shuffled
from bigbird.errors import DataError
from bigbird.tasks import Batch
from bigbird.training.distributed import ALONE, Ranks
from bigbird.training.settings import TrainingConfig

_MOST_FILLED = 32  # part of a row's blocks; 1 in 100 on average


@dataclass(frozen=True)
class Batches:
    """Micro-batches of a run. Step s reads positions s * batch_size … of the source's shuffled epochs.

    Of a step's micro-batches process r of R computes numbers r, r + R, …: every record once, whatever R is.
    """

    loaded: LoadedModel
    config: TrainingConfig
    source: RecordSource
    ranks: Ranks = ALONE

    def of_step(self, step: int) -> list[Batch]:
        """This process' micro-batches of one step."""
        config = self.config
        first = step * config.batch_size
        starts = range(first, first + config.batch_size, config.micro_batch_size)
        parts = config.context_parallel  # processes that divide rows among them need the same ones
        share = starts[self.ranks.rank // parts :: self.ranks.count // parts]
        return [self._micro_batch(start) for start in share]

    def check_alike(self) -> None:
        """Raise unless all processes make the same first micro-batch: from the same files, with the same tokenizer."""
        mine = hashlib.sha256(self._micro_batch(0).token_ids.numpy().tobytes()).hexdigest()
        if not self.ranks.all_of(mine == self.ranks.from_first(mine)):
            raise DataError(
                "the processes of the run see different training data, their first records differ; give all machines "
                "the same files, on a disk they share or copied"
            )

    def from_step(self, step: int) -> Iterator[list[Batch]]:
        """The micro-batches of each remaining step."""
        with ThreadPoolExecutor(max_workers=1) as worker:
            upcoming = worker.submit(self.of_step, step)
            for number in range(step, self.config.num_steps):
                batches = upcoming.result()
                if number + 1 < self.config.num_steps:
                    upcoming = worker.submit(self.of_step, number + 1)
                yield batches

    def _micro_batch(self, start: int) -> Batch:
        config, task, tokenizer = self.config, self.loaded.task, self.loaded.tokenizer
        places = range(start, start + config.micro_batch_size)
        records = [shuffled(self.source, place, seed=config.seed) for place in places]
        examples = [example for record in records for example in task.encode(record, tokenizer, purpose="train")]
        return with_few_lengths(task.collate(examples, block_size=self.loaded.encoder.pattern.block_size))


def with_few_lengths(batch: Batch) -> Batch:
    """The batch with empty blocks behind, up to a 32nd of its row, so that the rows of all steps have few lengths.

    Each length costs a set of oneDNN's kernels and leaves freed memory that the next one does not fit into.
    """
    layout = batch.layout
    assert isinstance(layout, DocumentLayout)
    num_blocks = layout.total_length // layout.block_size
    filled = replace(layout, block_multiple=_power_of_two(num_blocks // _MOST_FILLED))
    missing = filled.total_length - layout.total_length
    types = None if batch.token_types is None else F.pad(batch.token_types, (0, missing))
    return batch._replace(token_ids=F.pad(batch.token_ids, (0, missing)), layout=filled, token_types=types)


def _power_of_two(number: int) -> int:
    """The largest that is not above `number`, and 1 at least."""
    return 1 << max(0, number.bit_length() - 1)
