"""`bigbird bench encoder`: a whole encoder beside Hugging Face's with the same weights, computing the same function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bigbird.bench.contenders import CANNOT, in_one_line
from bigbird.bench.timing import Subject
from bigbird.errors import WrongAnswer, require
from bigbird.interop.huggingface_names import encoder_weights
from bigbird.model.encoder import Encoder, EncoderConfig

_ALLOWED_ERROR = 1e-3  # of float32 outputs, which a layer norm has made about 1 in size
_MODES = ("train", "eval")


def pairs(
    config: EncoderConfig,
    token_ids: Tensor,
    dtype: torch.dtype,
    their_config: Callable[[], Any],
    say: Callable[[str], None],
) -> Iterator[Subject]:
    """Ours and theirs for each of the two graphs theirs computes, checked against each other in float32 first.

    token_ids: int64 [length]. Without transformers ours takes part alone.
    """
    for mode in _MODES:
        ours = Encoder(_with_graph(config, mode)).eval().to(token_ids.device)
        try:
            theirs = _their_encoder(their_config(), is_training=mode == "train").to(token_ids.device)
        except CANNOT as reason:
            say(f"Hugging Face BigBird takes no part: {in_one_line(reason)}")
            yield _ours(ours.to(dtype), token_ids, mode)
            continue
        ours.load_state_dict(encoder_weights(theirs.state_dict(), num_layers=config.num_layers))
        _check(ours, theirs, token_ids, mode, say)
        yield _ours(ours.to(dtype), token_ids, mode)
        yield _theirs(theirs.to(dtype), token_ids, mode)


def _with_graph(config: EncoderConfig, mode: str) -> EncoderConfig:
    graph: Any = f"transformers-{mode}"
    return replace(config, num_token_types=2, pattern=replace(config.pattern, graph=graph))


def _their_encoder(config: Any, *, is_training: bool) -> Any:
    library = require("transformers", extra="hf", purpose="Hugging Face BigBird")
    return library.BigBirdModel(config, add_pooling_layer=False).train(is_training)


@torch.no_grad()
def _check(ours: Encoder, theirs: Any, token_ids: Tensor, mode: str, say: Callable[[str], None]) -> None:
    error = float((ours(token_ids[None]) - theirs(input_ids=token_ids[None]).last_hidden_state).abs().max())
    if not error <= _ALLOWED_ERROR:
        raise WrongAnswer(
            f"the encoders differ by {error:.1e} in {mode} mode (allowed {_ALLOWED_ERROR:.0e}): nothing is timed"
        )
    say(f"{len(token_ids):>7,} tokens: outputs equal Hugging Face's in {mode} mode (largest difference {error:.1e})")


def _ours(model: Encoder, token_ids: Tensor, mode: str) -> Subject:
    return _subject(f"bigbird, their {mode} graph", lambda: model(token_ids[None]))


def _theirs(model: Any, token_ids: Tensor, mode: str) -> Subject:
    return _subject(f"Hugging Face BigBird, {mode}", lambda: model(input_ids=token_ids[None]).last_hidden_state)


def _subject(name: str, encode: Callable[[], Tensor]) -> Subject:
    def forward() -> Tensor:
        with torch.no_grad():
            return encode()

    return Subject(name=name, forward=forward)
