"""Attention of a few single queries to keys that lie ready: what writing token by token needs.

No pattern here: the caller hands over the keys that are seen. Inference only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention.layout import MIN_ROWS


def row_attention(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None) -> Tensor:
    """Softmax attention in which a query's result never depends, in any bit, on how many others are asked with it.

        out[i] = sum over keys j of  w[i, j] * v[j],   w[i, j] ~ exp(q[i] . k[j] / sqrt(head_dim) + bias[j])

    q        [batch, heads, queries, head_dim], any floating type
    k, v     [batch, heads, keys, head_dim], the type and device of q; views of something larger are not copied
    bias     float32 [heads or 1, keys], -inf hides a key, though not a NaN there; at least one must be seen
    Returns  [batch, heads, queries, head_dim]
    """
    # Products of one shape alone: those of other numbers of rows may round differently.
    groups = q.split(MIN_ROWS, dim=2)
    return torch.cat(
        [_attend(F.pad(x, (0, 0, 0, MIN_ROWS - x.shape[2])), k, v, bias)[:, :, : x.shape[2]] for x in groups], 2
    )


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    scores = (q @ k.mT).float() * q.shape[3] ** -0.5
    if bias is not None:
        scores += bias[:, None]
    attended: Tensor = scores.softmax(3).to(v.dtype) @ v
    return attended
