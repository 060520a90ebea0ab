"""Token ids to vectors, and positions that are computed."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.errors import ShapeError
from bigbird.model.linear import Linear, linear

NUM_LETTERS = 8  # such token ids are numbers of base 8, a digit per base: bigbird.tokenizers.KmerTokenizer
_CONVOLUTION_BASES = 15  # a transcription factor's site is 6 to 15 bases wide
_NEIGHBOUR_DISTANCES = (1, 2, 4)  # tokens


class Embeddings(nn.Module):
    """Sum of token, position and token-type vectors, then layer norm and dropout (BERT's order).

    tokens           vectors of the tokens themselves: a table, or a convolution over the bases their ids spell
    positions        their vectors, learned or computed; None when positions are rotary
    num_token_types  rows of the token-type table; 0 for none
    norm             None for none
    is_scaled        token vectors count sqrt(hidden) times beside the others (Vaswani et al. 2017, 3.4)
    """

    def __init__(
        self,
        *,
        tokens: nn.Embedding | BaseConvolution,
        positions: nn.Embedding | SinusoidalPositions | None,
        hidden_size: int,
        num_token_types: int,
        norm: nn.LayerNorm | None,
        dropout: float,
        is_scaled: bool,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = positions
        self.token_types = nn.Embedding(num_token_types, hidden_size) if num_token_types else None
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.scale = math.sqrt(hidden_size) if is_scaled else None

    def forward(self, token_ids: Tensor, positions: Tensor, token_types: Tensor | None = None) -> Tensor:
        """token_ids, positions, token_types: int64 [total] -> [total, hidden]. Without token types all are type 0."""
        is_table = isinstance(self.tokens, nn.Embedding)
        embedded: Tensor = self.tokens(token_ids) if is_table else self.tokens(token_ids, positions)
        if self.scale is not None:
            embedded = embedded * self.scale
        if self.positions is not None:
            embedded = embedded + self.positions(positions).to(embedded.dtype)
        if self.token_types is not None:
            embedded = embedded + self.token_types(torch.zeros_like(token_ids) if token_types is None else token_types)
        elif token_types is not None:
            raise ShapeError("token_types were given to a model without token types. Leave them out.")
        normed: Tensor = self.dropout(embedded if self.norm is None else self.norm(embedded))
        return normed


class SinusoidalPositions(nn.Module):
    """Pegasus' fixed position vectors: the sines of all frequencies, then their cosines.

    Computed anew from the positions, so nothing of them is stored, moved or limited in length.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size

    def forward(self, positions: Tensor) -> Tensor:
        """positions: int64 [total] -> float32 [total, hidden]."""
        # Angles of far positions need float64: at 4,096 those of float32 are off by 2e-4.
        lengths = torch.tensor(_wave_lengths(self.hidden_size), dtype=torch.float64, device=positions.device)
        angles = positions[:, None] / lengths
        return torch.cat((angles.sin().float(), angles[:, : self.hidden_size // 2].cos().float()), dim=1)

    def extra_repr(self) -> str:
        """What its repr shows."""
        return str(self.hidden_size)


@lru_cache(maxsize=16)
def _wave_lengths(hidden_size: int) -> tuple[float, ...]:
    """In positions, over 2 pi; NumPy's power, as in transformers, for the same last bits."""
    return tuple(float(np.power(10_000, place / hidden_size)) for place in range(0, hidden_size, 2))


class BaseConvolution(nn.Module):
    """Vectors of tokens that spell out their bases (`KmerTokenizer`).

    bases of the token and 7 on either side -> convolution -> strongest response in the token
    -> residual convolutions over the tokens 1, 2 and 4 places before and behind

    So a motif looks the same wherever it stands, which pieces of a vocabulary do not offer. Nothing is read across
    the edge of a document.
    """

    def __init__(self, *, bases_per_token: int, hidden_size: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.bases_per_token = bases_per_token
        self.motifs = nn.Conv1d(NUM_LETTERS, hidden_size, _CONVOLUTION_BASES)
        self.neighbourhoods = nn.ModuleList(
            _Neighbourhood(hidden_size, distance, layer_norm_eps) for distance in _NEIGHBOUR_DISTANCES
        )

    def forward(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """token_ids, positions: int64 [total], a position of 0 begins a document or is filling -> [total, hidden]."""
        size, reach = self.bases_per_token, _CONVOLUTION_BASES // 2
        letters = token_ids[:, None] // NUM_LETTERS ** torch.arange(size, device=token_ids.device) % NUM_LETTERS
        seen = _with_neighbours(letters, positions, distance=1)[:, size - reach : 2 * size + reach]
        x = F.gelu(self._strongest(seen), approximate="tanh")
        for neighbourhood in self.neighbourhoods:
            x = neighbourhood(x, positions)
        return x

    def _strongest(self, seen: Tensor) -> Tensor:
        """Letters of each token and its neighbours, int64 [total, bases] -> each motif's strongest response.

        The convolution as one matrix product with a row per base: half the time of PyTorch's, forward and backward.
        """
        weight = self.motifs.weight
        dtype = (
            torch.get_autocast_dtype(seen.device.type) if torch.is_autocast_enabled(seen.device.type) else weight.dtype
        )
        one_hot = F.one_hot(seen, NUM_LETTERS).to(dtype).flatten(1)
        windows = one_hot.unfold(1, _CONVOLUTION_BASES * NUM_LETTERS, NUM_LETTERS)  # [total, bases_per_token, letters]
        responses = linear(windows, weight.mT.flatten(1), self.motifs.bias)
        # The gradient of amax looks at every response again, that of max at the strongest alone.
        return responses.max(1).values if torch.is_grad_enabled() else responses.amax(1)


class _Neighbourhood(nn.Module):
    """A residual convolution over each token and its two neighbours at a distance."""

    def __init__(self, hidden_size: int, distance: int, layer_norm_eps: float) -> None:
        super().__init__()
        self.distance = distance
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.inner = Linear(3 * hidden_size, hidden_size)
        self.output = Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """[total, hidden] -> [total, hidden]."""
        inner = self.inner(_with_neighbours(self.norm(x), positions, distance=self.distance))
        changed: Tensor = self.output(F.gelu(inner, approximate="tanh"))
        return x + changed


def _with_neighbours(x: Tensor, positions: Tensor, *, distance: int) -> Tensor:
    """Each row between those `distance` before and behind it in its document, zeros beyond: [total, 3 * width]."""
    before = x.roll(distance, 0).masked_fill((positions < distance)[:, None], 0)
    is_other = positions.roll(-distance) != positions + distance
    behind = x.roll(-distance, 0).masked_fill(is_other[:, None], 0)
    return torch.cat((before, x, behind), dim=1)


def rotary_table(positions: Tensor, *, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, float32 [total, head_dim / 2] each (Su et al. 2021)."""
    frequencies = base ** -(torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angles = positions[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[i], x[i + head_dim / 2]) by its position's angle; x: [..., total, head_dim]."""
    cos, sin = (part.to(x.dtype) for part in table)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
