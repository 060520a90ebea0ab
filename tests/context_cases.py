"""Problems for attention over several ranks, and what one process makes of them."""

from dataclasses import dataclass

import torch

from bigbird.attention import (
    BlockPattern,
    DocumentLayout,
    PatternSpec,
    block_sparse_attention,
    context_parallel_attention,
    context_plan,
)

HEADS, HEAD_DIM = 2, 8


@dataclass
class Case:
    pattern: BlockPattern
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    grad_out: torch.Tensor
    key_mask: torch.Tensor | None
    backend: str = "gathered"


def tensors(query_length, key_length, *, batch, dtype, heads=HEADS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = (query_length, key_length, key_length, query_length)
    return [
        torch.randn(batch, heads, length, HEAD_DIM, generator=generator, dtype=torch.float64).to(dtype)
        for length in lengths
    ]


def case(pattern, query_length, key_length=None, *, batch=1, masked=0.0, dtype=torch.float64, backend="gathered"):
    """Random tensors; NaN stands behind the mask."""
    key_length = query_length if key_length is None else key_length
    q, k, v, grad_out = tensors(query_length, key_length, batch=batch, dtype=dtype, heads=pattern.num_heads)
    mask = None
    if masked:
        mask = torch.rand(batch, key_length, generator=torch.Generator().manual_seed(7)) >= masked
        k, v = (x.masked_fill(~mask[:, None, :, None], torch.nan) for x in (k, v))
    return Case(pattern, q, k, v, grad_out, mask, backend)


def document(graph, length, **options):
    spec = PatternSpec(block_size=8, graph=graph)
    return case(spec.build(num_blocks=spec.blocks_for(length), num_heads=HEADS, layer=1), length, **options)


def packed(lengths, **options):
    layout = DocumentLayout(lengths, 8)
    pattern = layout.pattern(PatternSpec(block_size=8), num_heads=HEADS, layer=0)
    made = case(pattern, layout.total_length, **options)
    made.key_mask = layout.key_mask()
    filling = ~made.key_mask[:, None, :, None]
    made.k, made.v = made.k.masked_fill(filling, torch.nan), made.v.masked_fill(filling, torch.nan)
    return made


def extra_global_tokens():
    """BigBird-ETC: three blocks in front, of tokens that are not the document's, see and are seen by all."""
    body = PatternSpec(block_size=8, global_blocks=0).build(num_blocks=21, num_heads=HEADS).counts()
    table = torch.ones(HEADS, 24, 24, dtype=torch.int64)
    table[:, 3:, 3:] = body
    return case(BlockPattern.from_counts(table, block_size=8), 24 * 8)


def any_counts():
    """Queries and keys of different lengths, blocks that weigh several times, queries that see nothing."""
    table = torch.randint(0, 4, (HEADS, 9, 14), generator=torch.Generator().manual_seed(1))
    table[:, 4], table[:, 0] = 0, 2
    return case(BlockPattern.from_counts(table * (table < 3), block_size=8), 9 * 8 - 5, 14 * 8 - 3, batch=2, masked=0.3)


def block_causal():
    table = PatternSpec(block_size=8).build(num_blocks=24, num_heads=HEADS).counts().tril()
    return case(BlockPattern.from_counts(table, block_size=8), 24 * 8 - 1)


CASES = {
    "paper": lambda: document("paper", 24 * 8 - 5, batch=2, masked=0.2),
    "checkpoint": lambda: document("checkpoint", 25 * 8, masked=0.2),
    "transformers-eval": lambda: document("transformers-eval", 30 * 8 - 1),
    "extra global tokens": extra_global_tokens,
    "too short for sparse": lambda: document("paper", 5 * 8 - 3, masked=0.2),
    "fewer blocks than ranks": lambda: document("paper", 3 * 8 - 2),
    "one token": lambda: document("paper", 1),
    "everything masked": lambda: document("paper", 24 * 8, masked=1.0),
    "packed documents": lambda: packed((3, 90, 17, 1, 8, 120)),
    "any counts, unequal lengths": any_counts,
    "block causal": block_causal,
}


def alone(made):
    """out, dq, dk, dv of one process, by the same backend."""
    inputs = [x.clone().requires_grad_() for x in (made.q, made.k, made.v)]
    out = block_sparse_attention(*inputs, pattern=made.pattern, key_mask=made.key_mask, backend=made.backend)
    return out.detach(), *torch.autograd.grad(out, inputs, made.grad_out)


def shared(made, rank, num_ranks, group=None):
    """This rank's out, dq, dk, dv, and the same shards of what one process finds."""
    lengths = {"query_length": made.q.shape[2], "key_length": made.k.shape[2]}
    plan = context_plan(made.pattern, rank=rank, num_ranks=num_ranks, **lengths)
    queries, keys = (slice(x.start, x.stop) for x in (plan.query_places, plan.key_places))
    inputs = [
        x[:, :, owned].clone().requires_grad_() for x, owned in ((made.q, queries), (made.k, keys), (made.v, keys))
    ]
    out = context_parallel_attention(*inputs, plan=plan, group=group, key_mask=made.key_mask, backend=made.backend)
    found = (out.detach(), *torch.autograd.grad(out, inputs, made.grad_out[:, :, queries]))
    expected = [x[:, :, owned] for x, owned in zip(alone(made), (queries, queries, keys, keys), strict=True)]
    return found, expected


def error(made, rank, num_ranks, group=None):
    """The largest difference between a rank's results and one process'; NaN if there is one."""
    differences = [x - y for x, y in zip(*shared(made, rank, num_ranks, group), strict=True) if x.numel()]
    return max_error(differences)


def max_error(differences):
    """Of tensors; NaN if there is one."""
    return float(torch.cat([torch.zeros(1), *(x.abs().flatten().float() for x in differences)]).max())
