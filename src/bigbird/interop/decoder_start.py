"""A decoder that begins as its encoder: BERT2BERT, RoBERTa2RoBERTa (Rothe et al. 2020; the paper's warm starts).

    encoder.layers.3.attention.qkv.weight   ->  decoder.blocks.3.attention.qkv.weight
    encoder.embeddings.norm.weight          ->  decoder.embedding_norm.weight
    encoder.embeddings.positions.weight     ->  decoder.positions.weight, its first rows
    encoder.final_norm.weight               ->  decoder.final_norm.weight

The attention to the document has nothing to begin from. A coupled decoder has no such tensors: its are the encoder's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from bigbird.model.seq2seq import Seq2Seq

_PLACES = {
    r"decoder\.blocks\.": "encoder.layers.",
    r"decoder\.embedding_norm\.": "encoder.embeddings.norm.",
    r"decoder\.positions\.": "encoder.embeddings.positions.",
    r"decoder\.final_norm\.": "encoder.final_norm.",
}


def decoder_from_encoder(weights: Mapping[str, Tensor], model: Seq2Seq) -> dict[str, Tensor]:
    """What the model's decoder takes over of an encoder's weights, by the decoder's names.

    Layers of another shape than the encoder's, or beyond its last, and positions beyond its table are left as drawn.
    """
    found = {}
    for name, tensor in model.state_dict().items():
        source = weights.get(_source(name))
        if source is not None and name.startswith("decoder.positions."):
            source = source[: len(tensor)]
        if source is not None and source.shape == tensor.shape:
            found[name] = source
    return found


def _source(name: str) -> str:
    for place, source in _PLACES.items():
        if re.match(place, name):
            return re.sub(place, source, name, count=1)
    return ""
