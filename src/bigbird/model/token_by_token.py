"""Texts that are followed one by one: the likeliest token at every step (greedy), or drawn ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bigbird.model.generation_config import GenerationConfig
from bigbird.model.sampling import draw
from bigbird.model.token_rules import log_probabilities, permitted
from bigbird.model.written import Written, common_prefix, written
from bigbird.randomness import uniform


@dataclass
class _Text:
    """token_ids holds the end token too, once it is written."""

    token_ids: tuple[int, ...] = ()
    log_probability: float = 0.0


class TokenByToken:
    """The texts of one document. It stands for one row of the decoder per text that goes on.

    document_key  of the random numbers: the same key draws the same texts, whatever stands beside the document
    """

    def __init__(self, config: GenerationConfig, document_key: int) -> None:
        self._config = config
        self._key = document_key
        self._texts = [_Text() for _ in range(config.num_return_sequences)]
        self._live = list(range(len(self._texts)))

    @property
    def num_rows(self) -> int:
        """Rows that the next `advance` expects; 0 when all texts have ended."""
        return len(self._live)

    def advance(self, logits: Tensor) -> list[tuple[int, int]]:
        """float32 [rows, vocab] -> per new row (the row it goes on from, the token it adds)."""
        texts = [self._texts[number] for number in self._live]
        so_far = [text.token_ids for text in texts]
        # Tokens are compared by their logits: logarithms of close ones may round to the same number.
        scores = permitted(logits, so_far, self._config)
        costs = permitted(log_probabilities(logits), so_far, self._config)
        steps: list[tuple[int, int]] = []
        live: list[int] = []
        for row, (number, text) in enumerate(zip(self._live, texts, strict=True)):
            if bool((scores[row] == -torch.inf).all()):
                continue  # every token is forbidden: the text is cut
            token = self._choose(scores[row], number=number, step=len(text.token_ids))
            text.token_ids = (*text.token_ids, token)
            text.log_probability += float(costs[row, token])
            if token != self._config.end_token and len(text.token_ids) < self._config.max_new_tokens:
                live.append(number)
                steps.append((row, token))
        self._live = live
        return steps

    def certain(self) -> tuple[int, ...]:
        """The tokens that every text begins with."""
        return common_prefix([text.token_ids for text in self.results()])

    def results(self) -> list[Written]:
        """The texts as they are so far, by their number."""
        return [written(text.token_ids, text.log_probability, self._config) for text in self._texts]

    def _choose(self, scores: Tensor, *, number: int, step: int) -> int:
        sampling = self._config.sampling
        if sampling is None:
            return int(scores.argmax())  # of equals the lowest id
        return draw(scores, sampling, float(uniform(sampling.seed, self._key, number, step)))
