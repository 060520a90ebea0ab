"""The Triton kernels for GPUs in `triton_kernels`: work lists, launches, and the operators offered to PyTorch.

Triton is optional and is imported inside the functions that launch. This backend has never run on a GPU: its kernels
are tested with Triton's interpreter on a CPU and by compiling them for the H100 and H200.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from bigbird.attention.pattern import BlockPattern, lasting, opaque

BLOCK_SIZES = (16, 32, 64, 128)
MAX_HEAD_DIM = 128

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MIN_CAPABILITY = (8, 0)  # bfloat16 in tensor cores, asynchronous copies
_PIECE_TOKENS = 1024  # a row of twice as many keys (or queries) and more is cut into pieces of about this many
_MERGED_ROWS = 16  # tokens of a long row whose pieces one program adds
_DELTA_ROWS = 64
_LOG2_E = 1.4426950408889634


def why_not(q: Tensor, pattern: BlockPattern, /) -> str | None:
    """Needs an NVIDIA GPU, Triton, half or single precision, head_dim up to 128, and blocks of 16, 32, 64 or 128."""
    if q.device.type != "cuda":
        return f"it computes on a CUDA device, the tensors are on {q.device}"
    if q.dtype not in _DTYPES:
        return f"it computes in float32, float16 and bfloat16, got {q.dtype}"
    if q.shape[3] > MAX_HEAD_DIM:
        return f"it computes head_dim up to {MAX_HEAD_DIM}, got {q.shape[3]}"
    if pattern.block_size not in BLOCK_SIZES:
        return f"it computes block_size {', '.join(map(str, BLOCK_SIZES))}, got {pattern.block_size}"
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


class Work(NamedTuple):
    """What the programs of one pass do, in the order they start: the pieces of long rows first.

    items        int32 [items, 4]: row, first and last + 1 of its entries, where its part waits (-1: a whole row)
    merges       int32 [long rows, 3]: row, first part, number of parts
    num_parts    places for parts, per fold
    blocks       int32 [pairs]: the lists
    log2_counts  float32 [pairs]; None when every block counts once
    """

    items: Tensor
    merges: Tensor
    num_parts: int
    blocks: Tensor
    log2_counts: Tensor | None


class Plan(NamedTuple):
    """The work over the rows of a pattern and over its transposed rows."""

    by_query: Work
    by_key: Work
    row_starts: Tensor
    shape: tuple[int, int, int]


class _Sizes(NamedTuple):
    items: int
    merges: int
    parts: int


# A pattern's lists are the same objects for as long as it lives, also behind PyTorch's dispatcher and compilers.
_plans = WeakTensorKeyDictionary()


def plan_of(row_starts: Tensor, key_blocks: Tensor, key_counts: Tensor, shape: tuple[int, int, int]) -> Plan:
    """The plan for a pattern's lists, kept while they live. shape: block_size, query blocks, key blocks.

    For a new plan the device is asked once how large it will be. While a CUDA graph is captured nothing may be asked:
    such a plan has room for the worst case and belongs to the graph. A graph captured with a kept plan reads it at
    every replay: keep the pattern as long as the graph.
    """
    plan: Plan | None = _plans.get(key_blocks)
    if plan is None or plan.row_starts is not row_starts or plan.shape != shape:
        is_captured = row_starts.is_cuda and torch.cuda.is_current_stream_capturing()
        with lasting():
            plan = _new_plan(row_starts, key_blocks, key_counts, shape, may_ask=not is_captured)
        if not is_captured:
            _plans[key_blocks] = plan
    return plan


def _new_plan(
    row_starts: Tensor, key_blocks: Tensor, key_counts: Tensor, shape: tuple[int, int, int], *, may_ask: bool
) -> Plan:
    block_size, query_blocks, key_blocks_per_head = shape
    device, pairs = key_blocks.device, len(key_blocks)
    rows = torch.searchsorted(row_starts, torch.arange(pairs, device=device), right=True) - 1
    columns = rows // query_blocks * key_blocks_per_head + key_blocks
    order = columns.argsort(stable=True)  # query blocks stay ascending
    num_columns = (len(row_starts) - 1) // query_blocks * key_blocks_per_head
    column_starts = torch.searchsorted(columns[order], torch.arange(num_columns + 1, device=device))
    piece = max(1, _PIECE_TOKENS // block_size)
    both = [(starts, (starts.diff() // piece).clamp(min=1)) for starts in (row_starts, column_starts)]
    if may_ask:
        *sizes, has_counts = _exact_sizes(both[0][1], both[1][1], key_counts)
    else:
        sizes = [_Sizes(len(pieces) + pairs // piece, pairs // (2 * piece), pairs // piece) for _, pieces in both]
        has_counts = True
    log2_counts = key_counts.double().log2().float() if has_counts else None
    by_query = _work(*both[0], sizes[0], key_blocks, log2_counts)
    transposed_counts = None if log2_counts is None else log2_counts[order]
    by_key = _work(*both[1], sizes[1], (rows % query_blocks)[order], transposed_counts)
    return Plan(by_query, by_key, row_starts, shape)


def _exact_sizes(by_query: Tensor, by_key: Tensor, key_counts: Tensor) -> tuple[_Sizes, _Sizes, bool]:
    """Numbers of items, merges and parts from the number of pieces of each row, and whether a block counts twice."""
    numbers = [(key_counts != 1).sum()]
    for pieces in (by_query, by_key):
        is_long = pieces > 1
        numbers += [pieces.sum(), is_long.sum(), (pieces * is_long).sum()]
    several, *sizes = torch.stack(numbers).tolist()
    return _Sizes(*sizes[:3]), _Sizes(*sizes[3:]), several > 0


def _work(starts: Tensor, pieces: Tensor, sizes: _Sizes, blocks: Tensor, log2_counts: Tensor | None) -> Work:
    """Cut every row into its number of pieces, as equal as can be. Where depends on the row alone."""
    order = pieces.argsort(descending=True, stable=True)
    ends = pieces[order].cumsum(0)
    item = torch.arange(sizes.items, device=starts.device)
    place = torch.searchsorted(ends, item, right=True).clamp_(max=len(order) - 1)
    row = order[place]
    count, length = pieces[row], starts.diff()[row]
    number = item - (ends[place] - count)
    first, last = (starts[row] + (number + step) * length // count for step in (0, 1))
    part = torch.where(count > 1, item, -1)  # long rows stand first, so a part's place is its item's
    items = torch.stack([torch.where(item < ends[-1], row, -1), first, last, part], 1)
    long = order[: sizes.merges]
    count = pieces[long]
    merges = torch.stack([torch.where(count > 1, long, -1), ends[: sizes.merges] - count, count], 1)
    return Work(
        items.to(torch.int32), merges.to(torch.int32), sizes.parts, blocks.to(torch.int32, copy=True), log2_counts
    )


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


@lru_cache
def _generation(device: int | None) -> int:
    return 9 if device is None else torch.cuda.get_device_capability(device)[0]


class _Call:
    """One call's tensors and numbers, in the form the kernels take them."""

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        row_starts: Tensor,
        key_blocks: Tensor,
        key_counts: Tensor,
        key_mask: Tensor | None,
        block_size: int,
        scale: float,
    ) -> None:
        self.batch, self.heads, self.query_length, self.head_dim = q.shape
        self.key_length, self.block_size, self.scale = k.shape[2], block_size, scale
        self.query_blocks, self.key_blocks = -(-self.query_length // block_size), -(-self.key_length // block_size)
        self.plan = plan_of(row_starts, key_blocks, key_counts, (block_size, self.query_blocks, self.key_blocks))
        self.key_mask = None if key_mask is None else key_mask.contiguous().view(torch.uint8)
        self.heads_share = len(row_starts) - 1 == self.query_blocks
        self.folds = self.batch * self.heads if self.heads_share else self.batch
        self.padded_dim = max(16, 1 << (self.head_dim - 1).bit_length())
        self.all_keys = key_mask is None and self.key_length % block_size == 0
        self.is_half = q.dtype != torch.float32
        self.generation = _generation(q.get_device() if q.is_cuda else None)

    @property
    def plane(self) -> int:
        """Numbers of one plane of the softmax."""
        return self.batch * self.heads * self.query_length

    def parts(self, like: Tensor, work: Work, *width: int) -> Tensor:
        """Room for the parts of long rows: float32 [folds, parts, block_size, ...]."""
        return like.new_empty((self.folds, work.num_parts, self.block_size, *width), dtype=torch.float32)

    def lists(self, work: Work) -> tuple[Tensor, ...]:
        """items, blocks, log2_counts, key_mask; what is absent is never read, any tensor stands for it."""
        counts = work.items if work.log2_counts is None else work.log2_counts
        return work.items, work.blocks, counts, work.items if self.key_mask is None else self.key_mask

    def options(self, kernel: str, work: Work) -> dict[str, Any]:
        """Compile-time arguments of a kernel over tiles."""
        config = config_of(
            kernel,
            block_size=self.block_size,
            head_dim=self.padded_dim,
            is_half=self.is_half,
            is_whole=self.all_keys,
            generation=self.generation,
        )
        options = {
            **self.shape(),
            "HAS_COUNTS": work.log2_counts is not None,
            "ALL_KEYS": self.all_keys,
            "HAS_MASK": self.key_mask is not None,
            "ROWS": config.rows,
            "TILE": config.tile,
            "PRECISION": "tf32" if self.is_half else "ieee",  # of products of float32 alone
            "num_warps": config.warps,
            "num_stages": config.stages,
        }
        if kernel == "key_value_gradient":
            options["ALL_QUERIES"] = self.query_length % self.block_size == 0
        return options if config.registers is None else options | {"maxnreg": config.registers}

    def shape(self, **more: int) -> dict[str, Any]:
        """Compile-time arguments of every kernel over rows."""
        return {
            "HEADS_SHARE": self.heads_share,
            "BLOCK": self.block_size,
            "HEAD_DIM": self.head_dim,
            "BLOCK_D": self.padded_dim,
            "enable_fp_fusion": True,  # said, because the default of Triton changes
            **more,
        }


_LISTS = "Tensor row_starts, Tensor key_blocks, Tensor key_counts, Tensor? key_mask, int block_size, float scale"
torch.library.define("bigbird::triton_attention", f"(Tensor q, Tensor k, Tensor v, {_LISTS}) -> (Tensor, Tensor)")
torch.library.define(
    "bigbird::triton_attention_backward",
    f"(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, Tensor softmax, {_LISTS}) "
    f"-> (Tensor, Tensor, Tensor)",
)


def _forward(q: Tensor, k: Tensor, v: Tensor, *lists: Any) -> tuple[Tensor, Tensor]:
    from bigbird.attention import triton_kernels as kernels

    out, softmax = _forward_results(q, k, v)
    q, k, v = map(_with_dense_rows, (q, k, v))
    call = _Call(q, k, *lists)
    work = call.plan.by_query
    parts = [call.parts(q, work, call.padded_dim), call.parts(q, work), call.parts(q, work)]
    options = call.options("attend", work)
    items, *others = call.lists(work)
    with torch.cuda.device_of(q):
        kernels.attend[len(items) * call.folds, call.block_size // options["ROWS"]](
            q, k, v, out, softmax, *parts, items, *others,
            *_strides(q, k, v, out),
            len(items), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length, call.key_length,
            call.scale * _LOG2_E,
            **options,
        )  # fmt: skip
        if len(work.merges):
            kernels.merge_attended[(len(work.merges) * call.folds, call.block_size // _MERGED_ROWS)](
                out, softmax, *parts, work.merges, *_strides(out),
                len(work.merges), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length,
                **call.shape(ROWS=_MERGED_ROWS),
            )  # fmt: skip
    return out, softmax


def _forward_results(q: Tensor, _k: Tensor, _v: Tensor, *_lists: Any) -> tuple[Tensor, Tensor]:
    return _empty_like(q), q.new_empty((2, *q.shape[:3]), dtype=torch.float32)


def _backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, softmax: Tensor, *lists: Any
) -> tuple[Tensor, Tensor, Tensor]:
    gradients = _backward_results(grad_out, q, k, v)
    grad_out, q, k, v, out = map(_with_dense_rows, (grad_out, q, k, v, out))
    call = _Call(q, k, *lists)
    with torch.cuda.device_of(q):
        delta = _delta(out, grad_out, softmax, call)
        _query_gradient(q, k, v, grad_out, gradients[0], softmax, delta, call)
        _key_value_gradient(q, k, v, grad_out, *gradients[1:], softmax, delta, call)
    return gradients


def _backward_results(
    _grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_like(q), _empty_like(k), _empty_like(v)


def _delta(out: Tensor, grad_out: Tensor, softmax: Tensor, call: _Call) -> Tensor:
    from bigbird.attention import triton_kernels as kernels

    delta = torch.empty_like(softmax[0])
    kernels.dot_rows[(-(-call.query_length // _DELTA_ROWS) * call.batch * call.heads,)](
        out, grad_out, delta, *_strides(out, grad_out), call.heads, call.query_length,
        ROWS=_DELTA_ROWS, HEAD_DIM=call.head_dim, BLOCK_D=call.padded_dim, enable_fp_fusion=True,
    )  # fmt: skip
    return delta


def _query_gradient(
    q: Tensor, k: Tensor, v: Tensor, grad_out: Tensor, grad_q: Tensor, softmax: Tensor, delta: Tensor, call: _Call
) -> None:
    from bigbird.attention import triton_kernels as kernels

    work = call.plan.by_query
    parts = call.parts(q, work, call.padded_dim)
    options = call.options("query_gradient", work)
    items, *others = call.lists(work)
    kernels.query_gradient[len(items) * call.folds, call.block_size // options["ROWS"]](
        q, k, v, grad_out, grad_q, softmax, delta, parts, items, *others,
        *_strides(q, k, v, grad_out, grad_q),
        len(items), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length, call.key_length,
        call.scale * _LOG2_E, call.scale,
        **options,
    )  # fmt: skip
    _add_parts(grad_q, parts, work, call, num_blocks=call.query_blocks, scale=call.scale)


def _key_value_gradient(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    grad_out: Tensor,
    grad_k: Tensor,
    grad_v: Tensor,
    softmax: Tensor,
    delta: Tensor,
    call: _Call,
) -> None:
    from bigbird.attention import triton_kernels as kernels

    work = call.plan.by_key
    key_parts, value_parts = call.parts(q, work, call.padded_dim), call.parts(q, work, call.padded_dim)
    options = call.options("key_value_gradient", work)
    items, *others = call.lists(work)
    kernels.key_value_gradient[len(items) * call.folds, call.block_size // options["ROWS"]](
        q, k, v, grad_out, grad_k, grad_v, softmax, delta, key_parts, value_parts, items, *others,
        *_strides(q, k, v, grad_out, grad_k, grad_v),
        len(items), work.num_parts, call.heads, call.key_blocks, call.plane, call.query_length, call.key_length,
        call.scale * _LOG2_E, call.scale,
        **options,
    )  # fmt: skip
    _add_parts(grad_k, key_parts, work, call, num_blocks=call.key_blocks, scale=call.scale)
    _add_parts(grad_v, value_parts, work, call, num_blocks=call.key_blocks, scale=1.0)


def _add_parts(result: Tensor, parts: Tensor, work: Work, call: _Call, *, num_blocks: int, scale: float) -> None:
    from bigbird.attention import triton_kernels as kernels

    if len(work.merges):
        kernels.add_parts[(len(work.merges) * call.folds, call.block_size // _MERGED_ROWS)](
            result, parts, work.merges, *_strides(result),
            len(work.merges), work.num_parts, call.heads, num_blocks, result.shape[2], scale,
            **call.shape(ROWS=_MERGED_ROWS),
        )  # fmt: skip


def _has_dense_rows(x: Tensor) -> bool:
    return x.stride(3) == 1 or x.shape[3] == 1


def _with_dense_rows(x: Tensor) -> Tensor:
    return x if _has_dense_rows(x) else x.contiguous()


def _empty_like(x: Tensor) -> Tensor:
    """Laid out as x where the kernels can write that: [batch, length, heads, head_dim] in memory stays so."""
    result = torch.empty_like(x)
    return result if _has_dense_rows(result) else torch.empty_like(x, memory_format=torch.contiguous_format)


def _strides(*tensors: Tensor) -> tuple[int, ...]:
    """How far it is to the next batch element, head and row of each."""
    return tuple(stride for x in tensors for stride in x.stride()[:3])


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, row_starts, key_blocks, key_counts, key_mask, ctx.block_size, ctx.scale = inputs
    ctx.save_for_backward(q, k, v, *output, row_starts, key_blocks, key_counts, key_mask)
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: Any, grad_out: Tensor, _grad_softmax: Tensor) -> tuple[Tensor | None, ...]:
    gradients = torch.ops.bigbird.triton_attention_backward(grad_out, *ctx.saved_tensors, ctx.block_size, ctx.scale)
    return *gradients, None, None, None, None, None, None


for _device in ("CUDA", "CPU"):  # on CPU tensors the kernels run in Triton's interpreter, for tests: `why_not` says no
    torch.library.impl("bigbird::triton_attention", _device, _forward)
    torch.library.impl("bigbird::triton_attention_backward", _device, _backward)
torch.library.register_fake("bigbird::triton_attention", _forward_results)
torch.library.register_fake("bigbird::triton_attention_backward", _backward_results)
torch.library.register_autograd("bigbird::triton_attention", _differentiate, setup_context=_keep_for_backward)
