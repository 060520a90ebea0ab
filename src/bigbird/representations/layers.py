"""The vectors between an encoder's layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.errors import ConfigError
from bigbird.model.encoder import Encoder

LayerVectors = Callable[[Tensor, DocumentLayout], Tensor]


def vectors_of_layer(encoder: Encoder, layer: int) -> LayerVectors:
    """A function of packed token ids and their layout that gives [total, hidden] behind a layer.

    layer  0 the embeddings, 1 to the number of layers; negative ones count from the last, -1, whose vectors have passed
           the final norm where the encoder has one
    """
    count = len(encoder.layers)
    place = layer if layer >= 0 else count + 1 + layer
    if not 0 <= place <= count:
        raise ConfigError(
            f"layer must be from 0 (the embeddings) to {count} (the last), or from -1 (the last) to {-count - 1}, "
            f"got {layer}"
        )
    if place == count:
        return lambda token_ids, layout: encoder(token_ids, layout=layout)
    module = encoder.layers[place - 1] if place else encoder.embeddings

    def vectors(token_ids: Tensor, layout: DocumentLayout) -> Tensor:
        with _watched(module) as seen:
            encoder(token_ids, layout=layout)
        return seen[0]

    return vectors


@contextmanager
def _watched(module: nn.Module) -> Iterator[list[Tensor]]:
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()
