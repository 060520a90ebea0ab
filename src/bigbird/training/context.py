"""Rows too long for one process: several compute each row together, a contiguous part each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import nn

from bigbird.attention import ContextShard, DocumentLayout
from bigbird.errors import ConfigError
from bigbird.model.encoder import Encoder, check_rows_divisible
from bigbird.tasks import (
    AnyTask,
    Batch,
    BinClassification,
    ChoiceQA,
    Classification,
    MaskedLM,
    QuestionTask,
    Summarization,
)
from bigbird.tasks.base import Loss

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


_NO_PAIRS = (
    "context parallelism does not serve task.next_segment: the token that tells a pair's order lies on one of the "
    "processes alone. Set task.next_segment=false, or training.context_parallel=1."
)


@dataclass(frozen=True, kw_only=True)
class ContextRanks:
    """Which processes share a row, and which part of it this one has.

    Six processes, three to a row:

        process   0  1  2  3  4  5
        team      0  0  0  1  1  1      of a step's micro-batches team t of T computes t, t + T, …
        part      0  1  2  0  1  2      of each of their rows

    group  the processes of this team; None: all processes
    """

    team: int = 0
    num_teams: int = 1
    part: int = 0
    num_parts: int = 1
    group: ProcessGroup | None = None

    def shard(self, batch: Batch) -> Batch:
        """This process' part of a batch that all of its team have: what a model and a task's loss take in its place.

        The loss of a part is that of its own tokens; see `summed` and `sum_gradients`.
        """
        layout = batch.layout
        if self.num_parts == 1:
            return batch
        assert isinstance(layout, DocumentLayout), "the batch is a part already"
        if len(batch.targets) != layout.num_tokens or len(batch.weights) != layout.num_tokens:
            raise ConfigError(
                f"context parallelism serves tasks with a target for every token (masked language modelling, token "
                f"labels); this batch has {len(batch.targets)} targets for {layout.num_tokens} tokens. Set "
                f"training.context_parallel=1."
            )
        if batch.order is not None:
            raise ConfigError(_NO_PAIRS)
        shard = ContextShard(layout, self.part, self.num_parts, self.group)
        return batch._replace(
            token_ids=batch.token_ids[shard.owned],
            layout=shard,
            targets=batch.targets[shard.tokens],
            weights=batch.weights[shard.tokens],
            token_types=None if batch.token_types is None else batch.token_types[shard.owned],
        )

    def summed(self, loss: Loss) -> Loss:
        """The loss of whole rows, without a gradient: the parts' losses added up."""
        values = torch.stack([loss.total.detach().double(), loss.num_targets.double()])
        if self.num_parts > 1:
            dist.all_reduce(values, group=self.group)
        return Loss(values[0], values[1])

    def sum_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of the parts, after each process has run its own loss' backward pass.

        For a loop of one's own; an engine that sums over all processes (DDP, FSDP) does this on the way.
        """
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        if self.num_parts == 1 or not gradients:
            return
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together, group=self.group)
        for gradient, total in zip(gradients, together.split([x.numel() for x in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))


def context_ranks(*, rank: int, count: int, num_parts: int) -> ContextRanks:
    """Process `rank` of `count`, `num_parts` to a row; all processes call it together, after they have joined."""
    check_num_parts(count, num_parts)
    if num_parts == 1:
        return ContextRanks(team=rank, num_teams=count)
    # Their own group, even when it is all processes: DDP sums in the first one while the backward pass runs.
    group = dist.new_subgroups(group_size=num_parts)[0]
    return ContextRanks(
        team=rank // num_parts, num_teams=count // num_parts, part=rank % num_parts, num_parts=num_parts, group=group
    )


def check_task(task: AnyTask, num_parts: int) -> None:
    """Raise, before anything is built, unless rows of the task may be divided into `num_parts`."""
    if num_parts > 1 and isinstance(task, Classification):
        raise ConfigError(
            "context parallelism serves tasks with a target for every token (masked language modelling, token labels); "
            "a document's label is told by its first token, which lies on one of the processes alone. Set "
            "training.context_parallel=1."
        )
    if num_parts > 1 and isinstance(task, BinClassification):
        raise ConfigError(
            "context parallelism serves tasks with a target for every token (masked language modelling, token labels); "
            "the tokens of a bin may lie on two of the processes. Set training.context_parallel=1."
        )
    if num_parts > 1 and isinstance(task, ChoiceQA):
        raise ConfigError(
            "context parallelism serves tasks with a target for every token (masked language modelling, token labels); "
            "which candidate is right is told by all of them together, which lie on several processes. Set "
            "training.context_parallel=1."
        )
    if num_parts > 1 and isinstance(task, Summarization):
        raise ConfigError(
            "context parallelism serves tasks with a target for every token (masked language modelling, token labels); "
            "a summary is written from all of a document, which lies on several processes. Set "
            "training.context_parallel=1."
        )
    if num_parts > 1 and isinstance(task, QuestionTask):
        raise ConfigError(
            "context parallelism serves tasks with a target for every token (masked language modelling, token labels); "
            "where an answer starts is told by all tokens of a window together, which lie on several processes. Set "
            "training.context_parallel=1."
        )
    if num_parts > 1 and isinstance(task, MaskedLM) and task.next_segment:
        raise ConfigError(_NO_PAIRS)


def check_num_parts(count: int, num_parts: int) -> None:
    """Raise unless `count` processes form teams of `num_parts`."""
    if num_parts < 1 or count % num_parts:
        raise ConfigError(
            f"training.context_parallel must divide the number of processes, got {num_parts} for {count}. Start "
            f"{-(-count // max(num_parts, 1)) * max(num_parts, 1)} processes, or set training.context_parallel to a "
            f"divisor of {count}."
        )


def check_divisible(model: nn.Module) -> None:
    """Raise unless the model's rows may be divided: dropout would be drawn by each process for itself."""
    for name, module in model.named_modules():
        if isinstance(module, Encoder):
            check_rows_divisible(module.config, is_training=False)
        if isinstance(module, nn.Dropout) and module.p > 0:
            raise ConfigError(
                f"context parallelism needs a model without dropout: each process would draw its own, and losses would "
                f"differ from those of one process. {name} has dropout {module.p}; build it with dropout=0 (for a "
                f"recipe with an encoder of its own: start.encoder.dropout=0)."
            )
