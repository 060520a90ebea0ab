"""The original's names for BigBird's variables beside ours.

From core/encoder.py, core/utils.py and pretrain/run_pretraining.py of google-research/bigbird.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

from bigbird.errors import CheckpointError

WORDS = "embeddings/word_embeddings"
POSITIONS = "embeddings/position_embeddings"
TYPES = "embeddings/token_type_embeddings"
PREDICTIONS = "cls/predictions/"
ORDER = "cls/seq_relationship/"
POOLER = frozenset(("pooler/dense/kernel", "pooler/dense/bias"))

# Written beside the weights by optimizers and savers; one of these stands between two slashes of the name.
_BOOKKEEPING = re.compile(
    r"adam_[mv]|Adam(?:WeightDecay)?(?:Optimizer)?(?:_\d+)?|Adafactor(?:_\d+)?|beta[12]_power|global_step|save_counter"
    r"|_CHECKPOINTABLE_OBJECT_GRAPH"
)
# Its pretraining script creates `transform` outside `cls/predictions`, its published checkpoints have it inside.
_TRANSFORM = re.compile(r"(?:cls/predictions/)?transform/(?:dense/|LayerNorm/)?(kernel|bias|beta|gamma)")
_NAMED = 3  # variables that an error names
_LAYER = re.compile(r"encoder/layer_(\d+)/")


class Source(NamedTuple):
    """A tensor of ours, and those variables that lie one behind the other in it. Kernels lie turned."""

    ours: str
    theirs: tuple[str, ...]

    @property
    def is_kernel(self) -> bool:
        """Whether theirs is [in, out] where ours is [out, in]."""
        return self.theirs[0].endswith("/kernel")


def canonical(names: Iterable[str], *, source: str) -> dict[str, str]:
    """Stored names by the names used here: without scope (`bert/`) and without what is no weight of the model."""
    weights = [name for name in names if not any(map(_BOOKKEEPING.fullmatch, name.split("/")))]
    scopes = [name.removesuffix(WORDS) for name in weights if name.endswith(f"/{WORDS}") or name == WORDS]
    if len(scopes) != 1:
        raise CheckpointError(
            f"{source} has {len(scopes)} variables …/{WORDS}; one is needed. It is no checkpoint of one BigBird; its "
            f"variables are {some(weights)}"
        )
    stored: dict[str, str] = {}
    for name in weights:
        if stored.setdefault(_without(scopes[0], name), name) != name:
            raise CheckpointError(f"{source} has a variable twice: {some([stored[_without(scopes[0], name)], name])}")
    return stored


def some(names: Sequence[str]) -> str:
    """A few of them, for an error; nothing a terminal obeys."""
    named = ", ".join(repr(name[:200])[1:-1] for name in names[:_NAMED]) or "none"
    return named if len(names) <= _NAMED else f"{named} and {len(names) - _NAMED} more"


def _without(scope: str, name: str) -> str:
    name = name.removeprefix(scope)
    transform = _TRANSFORM.fullmatch(name)
    return f"{PREDICTIONS}transform/{transform[1]}" if transform else name


def is_of_decoder(name: str) -> bool:
    """Whether a decoder alone has this variable; a decoder coupled to the encoder has `encdec` in its layers."""
    return name.startswith("decoder/") or "/encdec" in name


def num_layers(names: Iterable[str]) -> int:
    """How many layers of the encoder they name."""
    return len({found[1] for name in names if (found := _LAYER.match(name))})


class Style(NamedTuple):
    """What the names tell of an encoder beside its sizes.

    is_prenorm  norms stand before attention and feed-forward and at the end of the stack, as in Pegasus; otherwise
                behind them and on the embeddings, as in BERT
    has_bias    query, key, value and the projection have biases
    has_types   there are token types
    """

    is_prenorm: bool
    has_bias: bool
    has_types: bool


def style(names: Container[str]) -> Style:
    """That of the encoder they name, by its first layer."""
    attention = "encoder/layer_0/attention/self"
    return Style(f"{attention}/LayerNorm/gamma" in names, f"{attention}/query/bias" in names, TYPES in names)


def encoder_sources(layers: int, told: Style, *, prefix: str) -> Iterator[Source]:
    """All tensors of our encoder; `prefix` stands before ours."""
    yield Source(f"{prefix}embeddings.tokens.weight", (WORDS,))
    yield Source(f"{prefix}embeddings.positions.weight", (POSITIONS,))
    if told.has_types:
        yield Source(f"{prefix}embeddings.token_types.weight", (TYPES,))
    yield from _norm(f"{prefix}final_norm" if told.is_prenorm else f"{prefix}embeddings.norm", "encoder")
    for layer in range(layers):
        yield from _layer_sources(f"{prefix}layers.{layer}", f"encoder/layer_{layer}", told)


def _layer_sources(ours: str, theirs: str, told: Style) -> Iterator[Source]:
    for mine, other in (("weight", "kernel"), ("bias", "bias"))[: 2 if told.has_bias else 1]:
        parts = tuple(f"{theirs}/attention/self/{part}/{other}" for part in ("query", "key", "value"))
        yield Source(f"{ours}.attention.qkv.{mine}", parts)
    yield from _dense(f"{ours}.attention.output", f"{theirs}/attention/output/dense", has_bias=told.has_bias)
    yield from _dense(f"{ours}.feed_forward.inner", f"{theirs}/intermediate/dense")
    yield from _dense(f"{ours}.feed_forward.output", f"{theirs}/output/dense")
    first, second = ("attention/self", "intermediate") if told.is_prenorm else ("attention/output", "output")
    yield from _norm(f"{ours}.attention_norm", f"{theirs}/{first}")
    yield from _norm(f"{ours}.feed_forward_norm", f"{theirs}/{second}")


def prediction_sources(prefix: str = "") -> Iterator[Source]:
    """The head that guesses tokens."""
    yield from _dense(f"{prefix}transform", f"{PREDICTIONS}transform")
    yield Source(f"{prefix}norm.weight", (f"{PREDICTIONS}transform/gamma",))
    yield Source(f"{prefix}norm.bias", (f"{PREDICTIONS}transform/beta",))
    yield Source(f"{prefix}bias", (f"{PREDICTIONS}output_bias",))


def order_sources() -> Iterator[Source]:
    """The pooler and the head that says whether B follows A; `output_weights` is [out, in] as ours."""
    yield from _dense("pooler", "pooler/dense")
    yield Source("classifier.weight", (f"{ORDER}output_weights",))
    yield Source("classifier.bias", (f"{ORDER}output_bias",))


def _dense(ours: str, theirs: str, *, has_bias: bool = True) -> Iterator[Source]:
    yield Source(f"{ours}.weight", (f"{theirs}/kernel",))
    if has_bias:
        yield Source(f"{ours}.bias", (f"{theirs}/bias",))


def _norm(ours: str, scope: str) -> Iterator[Source]:
    yield Source(f"{ours}.weight", (f"{scope}/LayerNorm/gamma",))
    yield Source(f"{ours}.bias", (f"{scope}/LayerNorm/beta",))
