"""What shapes the Triton kernels serve, and how each kernel is compiled for them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

BLOCK_SIZES = (16, 32, 64, 128)
MAX_HEAD_DIM = 128


class Config(NamedTuple):
    """How a kernel is compiled: its own tokens, a tile's, warps, stages of loading, a thread's most registers."""

    rows: int
    tile: int
    warps: int
    stages: int
    registers: int | None = None


def config_of(
    kernel: str, *, block_size: int, head_dim: int, is_half: bool, is_whole: bool, generation: int = 9
) -> Config:
    """From a table, never by trying out: the same bits in every process, no pause, and CUDA graphs work.

    head_dim is a power of two; is_whole: no key is masked or missing; generation: 8 Ampere and Ada, 9 Hopper. Chosen by
    what ptxas says of registers, shared memory and so of programs side by side (tests/attention/test_triton.py holds
    it to that), not yet by a clock. On Hopper, at head_dim 64, three programs of `attend` and `key_value_gradient`
    share a multiprocessor and four of `query_gradient`.
    """
    if not is_half:  # no tensor cores; larger products would fill the registers
        return Config(min(32, block_size), 32 if kernel == "attend" and head_dim <= 64 else 16, 4, 1)
    tile = 128 if kernel == "attend" and head_dim <= 64 else 64
    stages = 3 if is_whole else 2  # of three the first loads the list; where masks are read too, it holds a whole tile
    warps, registers = 4, None
    if kernel == "key_value_gradient" and head_dim == 128 and (generation == 8 or not is_whole):
        warps = 8
    if kernel == "key_value_gradient" and generation == 9 and head_dim == 64 and block_size >= 64 and is_whole:
        registers = 168
    return Config(min(64, block_size), tile, warps, stages, registers)


def padded_dim(head_dim: int) -> int:
    """The width the kernels compute with: a power of two, at least what a tensor core takes."""
    return next(width for width in (16, 32, 64, MAX_HEAD_DIM) if head_dim <= width)


@lru_cache
def generation_of(device: int | None) -> int:
    """The GPU's major compute capability; without a GPU, where kernels are interpreted, Hopper's."""
    return 9 if device is None else torch.cuda.get_device_capability(device)[0]
