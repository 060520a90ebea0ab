"""How a text is written: how many tokens, by which search, and when a search ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bigbird.errors import ConfigError

LengthNorm = Literal["transformers", "google"]
LARGEST_PENALTY = 10.0  # published ones are 0.6 to 2


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Each token is drawn. Of the tokens that may follow, what is cut off is cut off in the order of the fields.

    temperature  the logits are divided by it: below 1 the likely tokens become likelier
    top_k        only the k likeliest tokens are drawn; of equally likely ones the lower ids. None: all
    top_p        of those, only the smallest set of likeliest ones whose probabilities reach top_p together
                 (Holtzman et al. 2020). 1: all
    seed         with the document's key, the sequence and the step it makes the random numbers (`bigbird.randomness`)
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ConfigError(
                f"temperature must be a finite number above 0, got {self.temperature}; for the likeliest token at "
                "every step leave sampling out"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, or None for all tokens, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be a share above 0 and at most 1, got {self.top_p}")
        if not -(2**63) <= self.seed < 2**63:
            raise ConfigError(f"seed must be a whole number of 64 bits, got {self.seed}")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """How texts are written. Names and meanings are those of transformers' GenerationConfig unless said otherwise.

    start_token           written before the first token (decoder_start_token_id); no part of the text. -1: still to be
                          told, as a task does by its vocabulary
    end_token             ends a text (eos_token_id); -1 likewise
    max_new_tokens        tokens of a text at most, its end token counted and its start token not. transformers'
                          max_length counts the start token too: it is one more
    min_new_tokens        tokens that stand before the end token at least (transformers' min_length - 1)
    forced_end            whether token max_new_tokens is always the end token, at no cost (transformers'
                          forced_eos_token_id, as Pegasus asks for); else a text may be cut
    no_repeat_ngram_size  a text never holds the same n tokens in a row twice; its start token counts as its first.
                          0: it may
    num_beams             texts that are followed at once; 1 without sampling: the likeliest token at every step
    length_penalty        exponent alpha of the length norm that a text's log-probability is divided by, from -10 to 10.
                          Above 0 longer texts gain
    length_norm           "transformers": length ** alpha. "google": ((5 + length) / 6) ** alpha, that of Wu et al. 2016
                          and of the original BigBird, whose published alpha of 0.8 is meant for it. The length is that
                          of max_new_tokens: with the end token
    early_stopping        when the search for a document ends, of beams alone. True: as soon as num_beams texts have
                          ended. False: when moreover the likeliest live beam, were it to end at its present length,
                          beats none of them. "never": when no live beam can ever beat one of them
    sampling              None: nothing is drawn. Else each token is, and num_beams must be 1
    num_return_sequences  texts per document: the best of the beams, or so many draws
    """

    start_token: int = -1
    end_token: int = -1
    max_new_tokens: int = 256
    min_new_tokens: int = 0
    forced_end: bool = False
    no_repeat_ngram_size: int = 0
    num_beams: int = 1
    length_penalty: float = 1.0
    length_norm: LengthNorm = "transformers"
    early_stopping: bool | Literal["never"] = False
    sampling: Sampling | None = None
    num_return_sequences: int = 1

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_lengths()
        self._check_search()

    def norm(self, length: int) -> float:
        """What the log-probability of a text of `length` tokens, end token included, is divided by."""
        base = length if self.length_norm == "transformers" else (5 + length) / 6
        norm: float = base**self.length_penalty
        return norm

    def _check_numbers(self) -> None:
        least = {
            "start_token": -1,
            "end_token": -1,
            "max_new_tokens": 1,
            "min_new_tokens": 0,
            "no_repeat_ngram_size": 0,
            "num_beams": 1,
            "num_return_sequences": 1,
        }
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} must be at least {lowest}, got {getattr(self, name)}")
        if not -LARGEST_PENALTY <= self.length_penalty <= LARGEST_PENALTY:
            raise ConfigError(
                f"length_penalty must be from {-LARGEST_PENALTY} to {LARGEST_PENALTY}, got {self.length_penalty}; "
                "beyond, nothing but the length counts"
            )
        if self.length_norm not in ("transformers", "google"):
            raise ConfigError(f"length_norm must be 'transformers' or 'google', got {self.length_norm!r}")
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ConfigError(f"early_stopping must be True, False or 'never', got {self.early_stopping!r}")

    def _check_lengths(self) -> None:
        room = self.max_new_tokens - self.forced_end
        if self.min_new_tokens > room:
            end = ", the last of which is the end token" if self.forced_end else ""
            raise ConfigError(
                f"min_new_tokens {self.min_new_tokens} asks for more tokens than max_new_tokens {self.max_new_tokens} "
                f"has room for{end}; min_new_tokens can be {room} at most"
            )

    def _check_search(self) -> None:
        if self.sampling is not None and self.num_beams > 1:
            raise ConfigError(
                f"sampling follows no beams, got num_beams {self.num_beams}; set num_beams to 1 (num_return_sequences "
                "says how many texts are drawn), or leave sampling out"
            )
        if self.sampling is None and self.num_return_sequences > self.num_beams:
            raise ConfigError(
                f"num_return_sequences {self.num_return_sequences} is more than num_beams {self.num_beams} gives; "
                "raise num_beams, or set sampling"
            )
