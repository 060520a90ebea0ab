"""Which tokens may follow a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bigbird.errors import InputError
from bigbird.model.generation_config import GenerationConfig


def log_probabilities(logits: Tensor) -> Tensor:
    """float32 [rows, vocab] -> the same shape, natural logarithm. InputError where a row has none.

    Row by row: how a kernel shares many rows among threads must not reach the last bits of one.
    """
    result = torch.stack([row.log_softmax(-1) for row in logits])
    if bool(result.isnan().any()):
        raise InputError(
            "the scores of the next token are not numbers (NaN or infinite), so no text can be written; check the "
            "weights for values that are not finite"
        )
    return result


def permitted(scores: Tensor, texts: Sequence[tuple[int, ...]], config: GenerationConfig) -> Tensor:
    """A copy of the scores with -inf where a token is forbidden.

    scores  float32 [rows, vocab], of the token that follows; logits or log-probabilities
    texts   of each row, all of one length, without the start token

    Where the end token is forced all others are forbidden and its own score is 0.
    """
    length = len(texts[0])
    if config.forced_end and length == config.max_new_tokens - 1:
        scores = torch.full_like(scores, -torch.inf)
        scores[:, config.end_token] = 0.0
        return scores
    scores = scores.clone()
    if length < config.min_new_tokens:
        scores[:, config.end_token] = -torch.inf
    if config.no_repeat_ngram_size:
        for row, text in zip(scores, texts, strict=True):
            row[_repeating((config.start_token, *text), config.no_repeat_ngram_size)] = -torch.inf
    return scores


def _repeating(text: tuple[int, ...], size: int) -> list[int]:
    """The tokens that would make the last `size` tokens ones that the text already holds in a row.

    text a b c a b, size 3:  a b c is there, so c is forbidden
    """
    beginning = text[len(text) + 1 - size :] if size > 1 else ()
    places = range(len(text) - size + 1)
    return sorted({text[place + size - 1] for place in places if text[place : place + size - 1] == beginning})
