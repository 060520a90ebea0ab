"""The Triton backend for NVIDIA GPUs: what it can serve, and its operators.

    triton_config    shapes served, how kernels are compiled      triton_plan    work lists of a pattern
    triton_launch    arguments and grids                          triton_kernels what runs on the GPU

Triton is optional and is imported where kernels are launched. This backend has never run on a GPU: its kernels are
tested with Triton's interpreter on a CPU and by compiling them for the H100 and H200. So `auto` tries it out first
(`self_check`).
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from bigbird.attention import operators, triton_launch
from bigbird.attention.pattern import BlockPattern, opaque
from bigbird.attention.triton_config import BLOCK_SIZES, MAX_HEAD_DIM

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MIN_CAPABILITY = (8, 0)  # bfloat16 in tensor cores, asynchronous copies


def why_not(q: Tensor, pattern: BlockPattern, /) -> str | None:
    """Needs an NVIDIA GPU, Triton, half or single precision, head_dim up to 128, and blocks of 16, 32, 64 or 128.

    The pattern must not be causal.
    """
    if q.device.type != "cuda":
        return f"it computes on a CUDA device, the tensors are on {q.device}"
    if q.dtype not in _DTYPES:
        return f"it computes in float32, float16 and bfloat16, got {q.dtype}"
    if q.shape[3] > MAX_HEAD_DIM:
        return f"it computes head_dim up to {MAX_HEAD_DIM}, got {q.shape[3]}"
    if pattern.block_size not in BLOCK_SIZES:
        return f"it computes block_size {', '.join(map(str, BLOCK_SIZES))}, got {pattern.block_size}"
    if pattern.is_causal:
        return "it computes no causal patterns; gathered does"
    return _reason(q.device.index or 0) or None


def forward(q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> Tensor:
    """See `api.block_sparse_attention`. Products of half precision are summed in float32."""
    out: Tensor = torch.ops.bigbird.triton_attention(
        q, k, v, pattern.row_starts, pattern.key_blocks, pattern.key_counts, key_mask, pattern.block_size, scale
    )[0]
    return out


@opaque
def _reason(device: int) -> str:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed; pip install 'bigbird[gpu]'"
    capability = torch.cuda.get_device_capability(device)
    if capability < _MIN_CAPABILITY:
        return f"it needs compute capability {'.'.join(map(str, _MIN_CAPABILITY))}, the GPU has {capability}"
    return ""


operators.register(
    "triton_attention",
    numbers="int block_size, float scale",
    devices=("CUDA", "CPU"),  # on CPU tensors the kernels run in Triton's interpreter, for tests: `why_not` says no
    forward=triton_launch.forward,
    forward_results=triton_launch.forward_results,
    backward=triton_launch.backward,
    backward_results=triton_launch.backward_results,
)
