"""A text as the decoder wrote it."""

from __future__ import annotations

from dataclasses import dataclass

from bigbird.model.generation_config import GenerationConfig


@dataclass(frozen=True)
class Written:
    """One text.

    token_ids  without the start token and without the end token
    score      sum of the log-probabilities of its tokens, end token included, divided by `GenerationConfig.norm` of
               their number; 0 for the end token where it was forced. Natural logarithm, by the model's own
               probabilities: neither temperature nor what was forbidden changes it
    has_ended  whether the end token followed; False when the text was cut at max_new_tokens, or at a point where
               every token was forbidden
    """

    token_ids: tuple[int, ...]
    score: float
    has_ended: bool


def written(token_ids: tuple[int, ...], log_probability: float, config: GenerationConfig) -> Written:
    """A text out of its tokens, a last end token among them, and the sum of their log-probabilities."""
    has_ended = token_ids[-1:] == (config.end_token,)
    score = log_probability / config.norm(max(len(token_ids), 1))  # none at all: nothing could follow the start token
    return Written(token_ids[: len(token_ids) - has_ended], score, has_ended)


def common_prefix(texts: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The tokens that all of one or more texts begin with."""
    lowest, highest = min(texts), max(texts)  # in sorted order all others lie between, and share what these share
    for place, token in enumerate(lowest):
        if place == len(highest) or highest[place] != token:
            return lowest[:place]
    return lowest
