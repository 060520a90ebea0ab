"""`bigbird bench layer`, `encoder` and `step`: one layer, the whole encoder, a training step of the whole model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.bench.contenders import CANNOT, Dtype, in_one_line
from bigbird.bench.encoder import pairs as encoder_pairs
from bigbird.bench.memory import peak_of
from bigbird.bench.timing import Subject, in_turn
from bigbird.errors import ConfigError, require
from bigbird.machine import check_memory
from bigbird.model.attention_layer import Visibility
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel
from bigbird.model.sizes import Size, dimensions

_VOCABULARY = 50_358  # of the published checkpoints
_MASKED_SHARE = 0.15

Part = Literal["layer", "encoder", "step"]


@dataclass(frozen=True, kw_only=True)
class ModelBench:
    """What to measure: one layer forward, and forward and backward; the encoder forward; or its training step.

    size    tiny … large, see `bigbird.model.sizes`
    dtype   bfloat16: weights in bfloat16 for layer and encoder, autocast for a step
    memory  also measure how much memory a layer needs, each in a process of its own
    """

    lengths: tuple[int, ...] = (1024, 4096)
    size: Size = "base"
    dtype: Dtype = "float32"
    spec: PatternSpec = field(default_factory=PatternSpec)
    rounds: int = 5
    memory: bool = True

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1 or self.rounds < 1:
            raise ConfigError(f"lengths and rounds must be at least 1, got {list(self.lengths)} and {self.rounds}")
        dimensions(self.size)

    def encoder(self, length: int, *, num_layers: int | None) -> EncoderConfig:
        """The encoder of a measurement; all layers of the size when num_layers is None."""
        values: dict[str, Any] = {**dimensions(self.size)}
        if num_layers is not None:
            values["num_layers"] = num_layers
        return EncoderConfig(
            vocab_size=_VOCABULARY, max_length=max(length, 4096), dropout=0.0, pattern=self.spec, **values
        )


def run(what: Part, config: ModelBench, *, say: Callable[[str], None]) -> dict[str, object]:
    """Time ours and the others' in turn."""
    _check_room(what, config)
    results: list[dict[str, object]] = []
    for length in config.lengths:
        subjects = list({"layer": layers, "encoder": _encoders, "step": _steps}[what](config, length, say))
        forward: dict[str, Callable[[], object]] = {s.name: s.forward for s in subjects}
        learn: dict[str, Callable[[], object]] = {s.name: s.learn for s in subjects if s.learn}
        passes = {
            "layer": {"forward": forward, "forward and backward": learn},
            "encoder": {"forward": forward},
            "step": {"training step": learn},
        }
        for kind, runs in passes[what].items():
            for name, timing in in_turn(runs, rounds=config.rounds, say=say).items():
                result = {
                    "contender": name,
                    "length": length,
                    "pass": kind,
                    "seconds": timing.seconds._asdict(),
                    "times_the_first": timing.times_the_first._asdict(),
                }
                results.append(result)
                say(
                    f"{length:>7,} tokens, {kind}: {name:34} {1e3 * timing.seconds.median:9.0f} ms  "
                    f"{timing.times_the_first.median:6.2f} x the first"
                )
        if what == "layer" and config.memory and _device() == "cpu":
            results += _weighed(config, length, [subject.name for subject in subjects], say)
    if not results:
        raise ConfigError("nothing was timed: nobody takes part; the lines above name each one's reason")
    return {"results": results}


def _check_room(what: Part, config: ModelBench) -> None:
    """At the very least each layer keeps ten rows of hidden_size numbers per token: q, k, v, outputs, inner width."""
    length = max(config.lengths)
    encoder = config.encoder(length, num_layers=None if what == "step" else 1)
    num_numbers = 10 * encoder.num_layers * length * encoder.hidden_size
    check_memory(
        num_numbers * getattr(torch, config.dtype).itemsize,
        f"one {what} of size {config.size} at {length:,} tokens",
        device=_device(),
        cure="Give smaller lengths or a smaller size.",
    )


def _weighed(
    config: ModelBench, length: int, names: Sequence[str], say: Callable[[str], None]
) -> Iterator[dict[str, object]]:
    for name in names:
        peak = peak_of("layer", name, length, config)
        if peak is None:
            say(f"{length:>7,} tokens: the memory of {name} could not be measured")
        else:
            say(f"{length:>7,} tokens, forward and backward: {name:34} {peak / 2**20:9.0f} MiB more at its peak")
            yield {"contender": name, "length": length, "pass": "forward and backward", "peak_bytes": peak}


def layers(config: ModelBench, length: int, say: Callable[[str], None]) -> Iterator[Subject]:
    """One layer of everybody who is installed, ours first."""
    encoder = config.encoder(length, num_layers=1)
    x = torch.randn(1, length, encoder.hidden_size, generator=torch.Generator().manual_seed(0))
    x = x.to(_device(), getattr(torch, config.dtype)).requires_grad_()
    yield _subject("bigbird", _our_layer(encoder, length, x.dtype), x)
    for name, make in _THEIR_LAYERS.items():
        try:
            yield _subject(name, make(encoder, length, x.dtype), x)
        except CANNOT as reason:
            say(f"{name} takes no part: {in_one_line(reason)}")


def _subject(name: str, apply: Callable[[Tensor], Tensor], x: Tensor) -> Subject:
    def forward() -> Tensor:
        with torch.no_grad():
            return apply(x)

    return Subject(name=name, forward=forward, learn=lambda: apply(x).float().square().sum().backward())


def _our_layer(config: EncoderConfig, length: int, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    (layer,) = Encoder(config).to(_device(), dtype).layers
    layout = DocumentLayout((length,), config.pattern.block_size)
    pattern = layout.pattern(config.pattern, num_heads=config.num_heads, layer=0, device=_device())
    visibility = Visibility(key_mask=layout.is_real(_device())[None], rotary=None, backend="auto")

    def apply(x: Tensor) -> Tensor:
        out: Tensor = layer(layout.pack(x[0]), pattern, visibility)
        return layout.unpack(out)[None]

    return apply


def _their_layer(
    library: Any, config: Any, layer: nn.Module, length: int, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    layer.to(_device(), dtype)
    real = torch.ones(1, length, dtype=dtype, device=_device())
    blocked, band, from_mask, to_mask = library.BigBirdModel.create_masks_for_block_sparse_attn(real, config.block_size)

    def apply(x: Tensor) -> Tensor:
        out: Any = layer(x, band_mask=band, from_mask=from_mask, to_mask=to_mask, blocked_encoder_mask=blocked)
        result: Tensor = out[0] if isinstance(out, tuple) else out
        return result

    return apply


def _hugging_face(is_training: bool) -> Callable[[EncoderConfig, int, torch.dtype], Callable[[Tensor], Tensor]]:
    def make(encoder: EncoderConfig, length: int, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        library = require("transformers.models.big_bird.modeling_big_bird", extra="hf", purpose="Hugging Face BigBird")
        config = _their_config(encoder, length)
        layer = library.BigBirdLayer(config, seed=0).train(is_training)
        return _their_layer(library, config, layer, length, dtype)

    return make


def _their_config(encoder: EncoderConfig, length: int) -> Any:
    return require("transformers", extra="hf", purpose="Hugging Face BigBird").BigBirdConfig(
        vocab_size=encoder.vocab_size,
        hidden_size=encoder.hidden_size,
        num_hidden_layers=encoder.num_layers,
        num_attention_heads=encoder.num_heads,
        intermediate_size=encoder.inner_size,
        block_size=encoder.pattern.block_size,
        num_random_blocks=encoder.pattern.random_blocks,
        max_position_embeddings=max(4096, length),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def _dense_layer(encoder: EncoderConfig, _: int, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    layer = nn.TransformerEncoderLayer(
        encoder.hidden_size, encoder.num_heads, encoder.inner_size, dropout=0.0, activation="gelu", batch_first=True
    ).to(_device(), dtype)
    return layer


_THEIR_LAYERS: dict[str, Callable[[EncoderConfig, int, torch.dtype], Callable[[Tensor], Tensor]]] = {
    "Hugging Face BigBird, eval": _hugging_face(False),
    "Hugging Face BigBird, train": _hugging_face(True),
    "dense (PyTorch's layer)": _dense_layer,
}


def _encoders(config: ModelBench, length: int, say: Callable[[str], None]) -> Iterator[Subject]:
    encoder = config.encoder(length, num_layers=None)
    token_ids = torch.randint(5, _VOCABULARY, (length,), generator=torch.Generator().manual_seed(0)).to(_device())
    return encoder_pairs(encoder, token_ids, getattr(torch, config.dtype), lambda: _their_config(encoder, length), say)


def _steps(config: ModelBench, length: int, say: Callable[[str], None]) -> Iterator[Subject]:
    encoder = config.encoder(length, num_layers=None)
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(5, _VOCABULARY, (length,), generator=generator).to(_device())
    places = torch.nonzero(torch.rand(length, generator=generator) < _MASKED_SHARE)[:, 0].to(_device())
    yield _our_step(encoder, token_ids, places, config.dtype)
    try:
        yield _their_step(encoder, token_ids, places, config.dtype)
    except CANNOT as reason:
        say(f"Hugging Face BigBird takes no part: {in_one_line(reason)}")


def _our_step(encoder: EncoderConfig, token_ids: Tensor, places: Tensor, dtype: Dtype) -> Subject:
    model = MaskedLanguageModel(encoder).to(_device()).train()
    layout = DocumentLayout((len(token_ids),), encoder.pattern.block_size)
    rows = layout.places(_device())[places]

    def loss() -> Tensor:
        return F.cross_entropy(model(layout.pack(token_ids), layout, places=rows).float(), token_ids[places])

    return _step("bigbird", model, loss, dtype)


def _their_step(encoder: EncoderConfig, token_ids: Tensor, places: Tensor, dtype: Dtype) -> Subject:
    library = require("transformers", extra="hf", purpose="Hugging Face BigBird")
    model = library.BigBirdForMaskedLM(_their_config(encoder, len(token_ids))).to(_device()).train()
    labels = torch.full_like(token_ids, -100)
    labels[places] = token_ids[places]

    def loss() -> Tensor:
        total: Tensor = model(input_ids=token_ids[None], labels=labels[None]).loss
        return total

    return _step("Hugging Face BigBird, train", model, loss, dtype)


def _step(name: str, model: nn.Module, loss: Callable[[], Tensor], dtype: Dtype) -> Subject:
    """Forward, backward and AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def learn() -> None:
        optimizer.zero_grad()
        with torch.autocast(_device(), dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            total = loss()
        total.backward()
        optimizer.step()

    return Subject(name=name, forward=lambda: None, learn=learn)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
