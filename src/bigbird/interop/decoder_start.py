"""A decoder that begins as its encoder: BERT2BERT, RoBERTa2RoBERTa (Rothe et al. 2020; the paper's warm starts).

    encoder.layers.3.attention.qkv.weight   ->  decoder.blocks.3.attention.qkv.weight
    encoder.embeddings.norm.weight          ->  decoder.embedding_norm.weight
    encoder.embeddings.positions.weight     ->  decoder.positions.weight, its first rows, each with the vector of token
                                                type 0, which the encoder adds to every token
    encoder.final_norm.weight               ->  decoder.final_norm.weight

The attention to the document has nothing to begin from. A coupled decoder has no such tensors: its are the encoder's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bigbird.model.seq2seq import Seq2Seq

_POSITIONS, _TOKEN_TYPES = "decoder.positions.weight", "encoder.embeddings.token_types.weight"
_PLACES = {
    "decoder.blocks.": "encoder.layers.",
    "decoder.embedding_norm.": "encoder.embeddings.norm.",
    "decoder.positions.": "encoder.embeddings.positions.",
    "decoder.final_norm.": "encoder.final_norm.",
}


def decoder_from_encoder(weights: Mapping[str, Tensor], model: Seq2Seq) -> dict[str, Tensor]:
    """What the model's decoder takes over of an encoder's weights, by the decoder's names.

    Layers of another shape than the encoder's, or beyond its last, and positions beyond its table are left as drawn.
    """
    found = {}
    for name, tensor in model.state_dict().items():
        source = weights.get(_source(name))
        if source is not None and name == _POSITIONS:
            source = _positions(source, weights.get(_TOKEN_TYPES), tensor)
        if source is not None and source.shape == tensor.shape:
            found[name] = source
    return found


def _positions(source: Tensor, types: Tensor | None, drawn: Tensor) -> Tensor:
    first = source[: len(drawn)] if types is None else source[: len(drawn)] + types[0]
    return torch.cat((first, drawn[len(first) :].to(first)))


def _source(name: str) -> str:
    for place, source in _PLACES.items():
        if name.startswith(place):
            return source + name.removeprefix(place)
    return ""
