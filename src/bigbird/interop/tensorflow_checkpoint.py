"""Original TensorFlow checkpoints of BigBird (google-research/bigbird), read with the package tensorflow.

    model = load_tensorflow("bigbr_base/model.ckpt-0")
    left_behind = convert_tensorflow("bigbr_large/model.ckpt-0", "bigbird-large", num_heads=16)

Sizes come from the shapes of the variables. What shapes do not tell is the caller's to say; the defaults are those
with which the published models were trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bigbird import machine
from bigbird.attention import PatternSpec
from bigbird.checkpoint import empty_model
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import tensorflow_names as names
from bigbird.interop.huggingface_writing import save
from bigbird.interop.tensorflow_bundle import Bundle, Variable, open_bundle
from bigbird.interop.tensorflow_names import Source
from bigbird.model.activation import Activation
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel
from bigbird.model.published_heads import PretrainingModel

PUBLISHED_PATTERN = PatternSpec(block_size=64, random_blocks=3, graph="checkpoint")

_TYPES = ("float32", "float64", "float16")
_PUBLISHED_HEAD_DIM = 64

Model = Encoder | MaskedLanguageModel | PretrainingModel


class TensorFlowModel(NamedTuple):
    """A model, and the checkpoint's variables that have no place in it."""

    model: Model
    left_behind: tuple[str, ...]


def load_tensorflow(
    prefix: str | Path,
    *,
    num_heads: int = 12,
    activation: Activation = "gelu_tanh",
    pattern: PatternSpec = PUBLISHED_PATTERN,
    scale_embeddings: bool = False,
    layer_norm_eps: float = 1e-12,
    encoder_only: bool = False,
) -> Model:
    """The checkpoint PREFIX.index, PREFIX.data-… as a model of ours in evaluation mode.

    With masked-language head, pooler and next-sentence head it is a `PretrainingModel`, with the first alone a
    `MaskedLanguageModel`, with neither an `Encoder`.

    num_heads         12 for base, 16 for large and Pegasus; a file with 3-D kernels tells it and is held against this
    activation        of its flag hidden_act: "gelu" there is "gelu_tanh" here; Pegasus was trained with "relu"
    pattern           its flags block_size and num_rand_blocks
    scale_embeddings  its flag rescale_embedding: true for Pegasus
    layer_norm_eps    1e-12 there; transformers' Pegasus computes with 1e-5 and is written with that alone
    encoder_only      leave all but the encoder behind, a decoder or a classifier too. Otherwise variables without a
                      place are an error, the pooler aside, which stays behind without next-sentence head
    """
    read = read_tensorflow(
        prefix,
        num_heads=num_heads,
        activation=activation,
        pattern=pattern,
        scale_embeddings=scale_embeddings,
        layer_norm_eps=layer_norm_eps,
        encoder_only=encoder_only,
    )
    return read.model


def convert_tensorflow(
    prefix: str | Path, folder: str | Path, *, like: str | Path | None = None, **settings: Any
) -> tuple[str, ...]:
    """Write the checkpoint into a new folder in Hugging Face's layout; the variables that were left behind.

    like      a folder from which to take what ours has no place for, the decoder of a Pegasus too: as in
              `bigbird.interop.huggingface.save`
    settings  those of `load_tensorflow`
    """
    model, left_behind = read_tensorflow(prefix, **settings)
    save(model, folder, like=like)
    return left_behind


def read_tensorflow(
    prefix: str | Path,
    *,
    num_heads: int = 12,
    activation: Activation = "gelu_tanh",
    pattern: PatternSpec = PUBLISHED_PATTERN,
    scale_embeddings: bool = False,
    layer_norm_eps: float = 1e-12,
    encoder_only: bool = False,
    reader: Callable[[str | Path], Bundle] = open_bundle,
) -> TensorFlowModel:
    """As `load_tensorflow`, with the names of what was left behind. `reader` opens the files."""
    checkpoint = _Checkpoint(reader(prefix), str(prefix))
    settings = {
        "activation": activation,
        "pattern": pattern,
        "scale_embeddings": scale_embeddings,
        "layer_norm_eps": layer_norm_eps,
    }
    config = checkpoint.config(num_heads, settings)
    module, sources = checkpoint.kind(config, encoder_only=encoder_only)
    left_behind = checkpoint.without(sources)
    if not encoder_only:
        checkpoint.refuse([name for name in left_behind if name not in names.POOLER])
    model = _empty(module, config, str(prefix))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes.keys() == {item.ours for item in sources}
    checkpoint.check(sources, shapes, num_heads)
    model.load_state_dict(checkpoint.read(sources, shapes), assign=True)
    return TensorFlowModel(model.eval(), tuple(checkpoint.stored[name] for name in left_behind))


def _empty(module: type[Model], config: EncoderConfig, source: str) -> Model:
    """The model with the shapes of its weights alone."""
    try:
        model = empty_model(lambda: module(config))
    except ConfigError as error:
        raise CheckpointError(f"{source} has shapes of no possible model: {error}") from None
    assert isinstance(model, module)
    return model


class _Checkpoint:
    """The variables of a bundle under the names used here."""

    def __init__(self, bundle: Bundle, source: str) -> None:
        self._bundle, self._source = bundle, source
        if any(name.endswith("/.ATTRIBUTES/VARIABLE_VALUE") for name in bundle.variables):
            raise CheckpointError(
                f"{source} was written by tf.train.Checkpoint or Keras, which name variables by their place in a "
                f"program. Only files of tf.compat.v1.train.Saver, which google-research/bigbird uses, can be read. "
                f"The TriviaQA model is on the Hub: google/bigbird-base-trivia-itc."
            )
        self.stored = names.canonical(bundle.variables, source=source)
        self._told = names.style(self.stored)

    def config(self, num_heads: int, settings: Mapping[str, Any]) -> EncoderConfig:
        """Sizes by the shapes of tables and kernels, norms and biases by the names that are there."""
        vocab_size, hidden_size = self._table(names.WORDS)
        if num_heads > 0 and hidden_size % num_heads:
            raise ConfigError(
                f"num_heads {num_heads} does not divide the hidden size of {self._source}, {hidden_size}. The file "
                f"does not tell it; published models have {_PUBLISHED_HEAD_DIM} numbers per head: "
                f"num_heads={max(hidden_size // _PUBLISHED_HEAD_DIM, 1)}"
            )
        try:
            return EncoderConfig(
                vocab_size=vocab_size,
                hidden_size=hidden_size,
                num_layers=names.num_layers(self.stored),
                num_heads=num_heads,
                inner_size=self._table("encoder/layer_0/intermediate/dense/kernel")[1],
                max_length=self._table(names.POSITIONS)[0],
                num_token_types=self._table(names.TYPES)[0] if self._told.has_types else 0,
                norm="pre" if self._told.is_prenorm else "post",
                embedding_norm=not self._told.is_prenorm,
                attention_bias=self._told.has_bias,
                **settings,
            )
        except ConfigError as error:
            raise ConfigError(f"{self._source}: {error}") from None

    def kind(self, config: EncoderConfig, *, encoder_only: bool) -> tuple[type[Model], list[Source]]:
        """Our class for what is there, and all its tensors."""
        has_order = any(name.startswith(names.ORDER) for name in self.stored)
        has_predictions = any(name.startswith(names.PREDICTIONS) for name in self.stored)
        module: type[Model] = Encoder
        prefix, head = "", []
        if has_predictions and not encoder_only:
            module, prefix, head = MaskedLanguageModel, "encoder.", [*names.prediction_sources()]
        if has_predictions and has_order and not encoder_only:
            module, prefix = PretrainingModel, "language_model.encoder."
            head = [*names.prediction_sources("language_model."), *names.order_sources()]
        encoder = names.encoder_sources(config.num_layers, self._told, prefix=prefix)
        return module, [*encoder, *head]

    def without(self, sources: list[Source]) -> list[str]:
        """The variables that are no part of them."""
        return sorted(self.stored.keys() - {name for item in sources for name in item.theirs})

    def refuse(self, unused: list[str]) -> None:
        """Nothing is left behind unless asked for."""
        if not unused:
            return
        decoder = [name for name in unused if names.is_of_decoder(name)]
        what = f"a decoder ({names.some(decoder)})" if decoder else f"variables unknown here ({names.some(unused)})"
        raise CheckpointError(f"{self._source} has {what}. encoder_only=True reads the encoder and leaves them behind.")

    def check(self, sources: list[Source], shapes: Mapping[str, tuple[int, ...]], num_heads: int) -> None:
        """Before anything large is read: all variables are there, in a shape, type and file that can be."""
        wanted = [name for item in sources for name in item.theirs]
        missing = [name for name in wanted if name not in self.stored]
        if missing:
            raise CheckpointError(f"{self._source} lacks {len(missing)} variables: {names.some(missing)}")
        for item in sources:
            allowed = _allowed_shapes(item, shapes[item.ours], num_heads)
            for name in item.theirs:
                if self._variable(name).shape not in allowed:
                    raise CheckpointError(
                        f"{self._source}: {name} is {list(self._variable(name).shape)}, expected "
                        f"{' or '.join(str(list(shape)) for shape in allowed)} with num_heads={num_heads}"
                    )
        types = sorted({self._variable(name).dtype for name in wanted})
        if len(types) > 1 or types[0] not in _TYPES:
            raise CheckpointError(
                f"{self._source}: its variables are {', '.join(types)}; all must be one of {', '.join(_TYPES)}"
            )
        self._check_room(sum(math.prod(self._variable(name).shape) for name in wanted) * np.dtype(types[0]).itemsize)

    def read(self, sources: list[Source], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Our tensors, all numbers finite."""
        return {item.ours: self._tensor(item, shapes[item.ours]) for item in sources}

    def _tensor(self, item: Source, shape: tuple[int, ...]) -> Tensor:
        part_shape = (shape[0] // len(item.theirs), *shape[1:])
        parts = []
        for name in item.theirs:
            array = self._bundle.read(self.stored[name])
            if not np.isfinite(array).all():
                raise CheckpointError(
                    f"{self._source}: the variable {name} holds NaN or infinity; the file is damaged, or the run "
                    f"that wrote it had failed"
                )
            # [in, heads, of a head] and [heads, of a head, out] are [in, out] in memory
            turned = array.reshape(part_shape[::-1]).T if item.is_kernel else array.reshape(part_shape)
            parts.append(torch.from_numpy(np.array(turned, order="C")))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _check_room(self, num_bytes: int) -> None:
        if num_bytes > self._bundle.data_bytes:
            raise CheckpointError(
                f"{self._source}: its index lists weights of {num_bytes:,} bytes, its data files have "
                f"{self._bundle.data_bytes:,}. They were cut off or belong to another checkpoint; copy both anew."
            )
        machine.check_memory(num_bytes, f"reading {self._source}", cure="Take a machine with more memory.")

    def _variable(self, name: str) -> Variable:
        return self._bundle.variables[self.stored[name]]

    def _table(self, name: str) -> tuple[int, int]:
        shape = self._variable(name).shape if name in self.stored else ()
        if len(shape) != 2:
            is_there = f"of shape {list(shape)}" if name in self.stored else "missing"
            raise CheckpointError(f"{self._source}: {name}, which tells the model's sizes, is {is_there}")
        return shape


def _allowed_shapes(item: Source, ours: tuple[int, ...], num_heads: int) -> list[tuple[int, ...]]:
    """Of each variable of `item`; kernels of attention may be 2-D, as the original makes them, or 3-D."""
    width, *rest = ours[0] // len(item.theirs), *ours[1:]
    if not item.is_kernel:
        return [(width, *rest)] + ([(num_heads, width // num_heads)] if len(item.theirs) > 1 else [])
    flat = (rest[0], width)
    if len(item.theirs) > 1:
        return [flat, (rest[0], num_heads, width // num_heads)]
    is_projection = item.theirs[0].endswith("attention/output/dense/kernel")
    return [flat, *([(num_heads, rest[0] // num_heads, width)] if is_projection else [])]
