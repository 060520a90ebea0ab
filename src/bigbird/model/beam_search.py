"""Beam search over the continuations of one document's text.

Rules and results are those of transformers 5 (`GenerationMixin._beam_search`). At each step all continuations of the
live beams are ranked by log-probability and the best 2 * num_beams looked at:

    num_beams 2, four candidates, the best first      a .    a b    c .    c a        (. is the end token)
    those that end among the first num_beams          a .                             are done
    the first num_beams of those that go on                  a b           c a        are the live beams

The num_beams best of those that are done, by log-probability over length norm, are kept. The original BigBird's
search (Tensor2Tensor's) differs in small things: it keeps every candidate that ends, and returns a cut text only if
none has ended.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bigbird.model.generation_config import GenerationConfig
from bigbird.model.ranking import highest
from bigbird.model.token_rules import log_probabilities, permitted
from bigbird.model.written import Written, common_prefix, written


class _Beam(NamedTuple):
    token_ids: tuple[int, ...]
    log_probability: float  # a float32's value: the sum is kept in the model's precision


class BeamSearch:
    """The search for one document. It stands for one row of the decoder per live beam."""

    def __init__(self, config: GenerationConfig) -> None:
        self._config = config
        self._live = [_Beam((), 0.0)]
        self._done: list[Written] = []  # the best first

    @property
    def num_rows(self) -> int:
        """Rows that the next `advance` expects; 0 when the search has ended."""
        return len(self._live)

    def advance(self, logits: Tensor) -> list[tuple[int, int]]:
        """float32 [rows, vocab] -> per new row (the row it goes on from, the token it adds)."""
        steps = self._step(logits)
        if self._is_over():
            self._live = []
            return []
        return steps

    def certain(self) -> tuple[int, ...]:
        """The tokens that the best text begins with whatever is still to come."""
        texts = [beam.token_ids for beam in self._live] + [text.token_ids for text in self._done[:1]]
        return common_prefix(texts)

    def results(self) -> list[Written]:
        """The best texts, the best first; num_return_sequences, or fewer where too few could be written."""
        return self._done[: self._config.num_return_sequences]

    def _step(self, logits: Tensor) -> list[tuple[int, int]]:
        config = self._config
        texts = [beam.token_ids for beam in self._live]
        sums = logits.new_tensor([beam.log_probability for beam in self._live])
        scores = permitted(log_probabilities(logits), texts, config) + sums[:, None]
        values, places = highest(scores.flatten(), 2 * config.num_beams)
        length = len(texts[0]) + 1
        live: list[_Beam] = []
        steps: list[tuple[int, int]] = []
        for rank, (value, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True)):
            row, token = divmod(place, logits.shape[1])
            if token == config.end_token or length == config.max_new_tokens:
                if rank < config.num_beams:
                    self._done.append(written((*texts[row], token), value, config))
            elif len(live) < config.num_beams:
                live.append(_Beam((*texts[row], token), value))
                steps.append((row, token))
        if not len(values) and not self._done:  # every token of every beam is forbidden
            self._done = [written(beam.token_ids, beam.log_probability, config) for beam in self._live]
        self._done.sort(key=lambda text: -text.score)  # stable: of equals the one that ended first
        del self._done[config.num_beams :]
        self._live = live
        return steps

    def _is_over(self) -> bool:
        config = self._config
        if not self._live:
            return True
        if len(self._done) < config.num_beams:
            return False
        if config.early_stopping is True:
            return True
        is_bound = config.early_stopping == "never" and config.length_penalty > 0  # longer texts gain: the longest may
        length = config.max_new_tokens if is_bound else len(self._live[0].token_ids)
        return self._live[0].log_probability / config.norm(length) <= self._done[-1].score
