"""Where a model computes: one process, copies in several (DDP), or spread over several (FSDP2). PyTorch's own engines.

Whatever the engine, a step's gradient is the sum over all micro-batches of all processes, divided once by the number
of targets of all of them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from bigbird.errors import ConfigError
from bigbird.model.encoder import encoder_of
from bigbird.model.seq2seq import Seq2Seq
from bigbird.training.block_options import apply_block_options, check_compiler
from bigbird.training.context import check_divisible, check_num_parts, context_ranks
from bigbird.training.distributed import Ranks
from bigbird.training.engine_state import Tensors, optimizer_tensors_of, put_back, weights_of
from bigbird.training.optimizer import build_optimizer
from bigbird.training.settings import TrainingConfig


class Engine:
    """A model in training and its optimizer, on one process or several. All processes call the same methods.

    ranks      this process among those of the run
    context    which of them divide rows, and this one's part
    called     what computes: like the model, but gradients flow between the processes
    optimizer  of this process' weights, all of them or its share
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, ranks: Ranks) -> None:
        """`model` is changed in place when its weights are spread."""
        check_engine(config, ranks)
        self._model, self.ranks = model, ranks
        self.context = context_ranks(rank=ranks.rank, count=ranks.count, num_parts=config.context_parallel)
        if config.context_parallel > 1:
            check_divisible(model)
        apply_block_options(model, checkpoint_activations=config.checkpoint_activations, compile_layers=config.compile)
        self.called = _spread(model, config, ranks)
        self.optimizer = build_optimizer(
            model,
            kind=config.optimizer,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
        )

    def collecting(self, *, is_last: bool) -> AbstractContextManager[None]:
        """For one micro-batch: gradients of all processes come together after a step's last one."""
        if isinstance(self.called, DistributedDataParallel) and not is_last:
            return cast("AbstractContextManager[None]", self.called.no_sync())
        return nullcontext()  # FSDP brings them together each time: that is what keeps a whole gradient from memory

    def finish_gradients(self, *, num_targets: float, clip_norm: float) -> float:
        """Divide the summed gradients by the number of targets of all processes and clip them; the norm before that."""
        # DDP and FSDP give the mean over the processes where the sum is meant.
        divisor = max(num_targets, 1.0) / self.ranks.count
        for parameter in self._model.parameters():
            if parameter.grad is not None:
                parameter.grad /= divisor
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), clip_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def apply_gradients(self, *, is_usable: bool) -> None:
        """Let the optimizer step: in all processes or, when the gradient of any is not usable, in none."""
        if self.ranks.all_of(is_usable):
            self.optimizer.step()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, every process holds all weights and calls the model without the others, to evaluate it."""
        spread = [module for module in self._model.modules() if isinstance(module, FSDPModule)]
        for module in spread:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            yield
        finally:
            for module in spread:
                module.reshard()
                module.set_reshard_after_forward(module is not self._model, recurse=False)

    def weights(self) -> Tensors:
        """See `engine_state.weights_of`."""
        return weights_of(self._model, self.ranks)

    def optimizer_tensors(self) -> Tensors:
        """See `engine_state.optimizer_tensors_of`."""
        return optimizer_tensors_of(self._model, self.optimizer, self.ranks)

    def put_back(self, *, weights: Tensors, optimizer_tensors: Tensors) -> None:
        """See `engine_state.put_back`."""
        put_back(self._model, self.optimizer, self.ranks, weights=weights, optimizer_tensors=optimizer_tensors)


def check_engine(config: TrainingConfig, ranks: Ranks) -> None:
    """Raise unless the run's settings fit the number of its processes and this machine."""
    check_num_parts(ranks.count, config.context_parallel)
    num_micro_batches = config.batch_size // config.micro_batch_size
    num_teams = ranks.count // config.context_parallel  # processes that divide rows work on the same ones
    if num_micro_batches % num_teams:
        raise ConfigError(_uneven(config, num_teams))
    if config.optimizer == "adafactor" and config.sharding == "fsdp" and ranks.count > 1:
        raise ConfigError(
            "training.optimizer adafactor cannot be spread: PyTorch's Adafactor does not work on sharded weights. Set "
            "training.sharding=none (its state is small), or training.optimizer=adamw"
        )
    if config.compile:
        check_compiler(ranks.device)


def _uneven(config: TrainingConfig, count: int) -> str:
    num_micro_batches = config.batch_size // config.micro_batch_size
    given = (
        f"training.batch_size {config.batch_size} is {num_micro_batches} micro-batches of {config.micro_batch_size}, "
        f"which {count} {'processes' if config.context_parallel == 1 else 'teams of processes'} cannot share evenly. "
    )
    sizes = [size for size in range(1, config.micro_batch_size + 1) if config.batch_size % (size * count) == 0]
    if sizes:
        return given + f"Set training.micro_batch_size={sizes[-1]}"
    whole = math.ceil(config.batch_size / count) * count
    return given + f"Set training.batch_size={whole} training.micro_batch_size={whole // count}"


def _spread(model: nn.Module, config: TrainingConfig, ranks: Ranks) -> nn.Module:
    if ranks.count == 1:
        return model
    if config.sharding == "none":
        return DistributedDataParallel(model)
    if isinstance(model, Seq2Seq) and model.decoder.config.is_coupled:
        raise ConfigError(
            "training.sharding fsdp spreads the encoder's layers, which a coupled decoder uses too, at another time. "
            "Set training.sharding=none, or task.decoder.is_coupled=false"
        )
    # Tasks change no output of a model in place, which is what the warning is about.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    half = torch.bfloat16 if config.precision == "bfloat16" else None
    # Inputs stay as they are: tables of rotary positions need float32. Autocast, which is on too, chooses per product.
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)  # as DDP does: all begin with the weights of process 0
    for layer in encoder_of(model).layers:
        fully_shard(layer, mp_policy=policy, reshard_after_forward=True)
    fully_shard(model, mp_policy=policy, reshard_after_forward=False)
    return model
