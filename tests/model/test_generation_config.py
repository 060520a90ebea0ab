"""Settings that contradict one another are refused in words that say how to mend them."""

import pytest

from bigbird.errors import ConfigError
from bigbird.model.generation_config import GenerationConfig, Sampling

NEEDED = {"start_token": 2, "end_token": 1, "max_new_tokens": 8}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start_token": -2}, "start_token must be at least -1, got -2"),
        ({"end_token": -2}, "end_token must be at least -1, got -2"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"min_new_tokens": -1}, "min_new_tokens must be at least 0, got -1"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size must be at least 0, got -1"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"num_return_sequences": 0}, "num_return_sequences must be at least 1, got 0"),
        (
            {"length_penalty": 11.0},
            "length_penalty must be from -10.0 to 10.0, got 11.0; beyond, nothing but the length counts",
        ),
        ({"length_penalty": float("nan")}, "length_penalty must be from -10.0 to 10.0, got nan"),
        ({"length_norm": "paper"}, "length_norm must be 'transformers' or 'google', got 'paper'"),
        ({"early_stopping": "always"}, "early_stopping must be True, False or 'never', got 'always'"),
        ({"early_stopping": 1}, "early_stopping must be True, False or 'never', got 1"),
        (
            {"min_new_tokens": 9},
            "min_new_tokens 9 asks for more tokens than max_new_tokens 8 has room for; min_new_tokens can be 8 at most",
        ),
        (
            {"min_new_tokens": 8, "forced_end": True},
            "min_new_tokens 8 asks for more tokens than max_new_tokens 8 has room for, the last of which is the end "
            "token; min_new_tokens can be 7 at most",
        ),
        (
            {"num_beams": 4, "sampling": Sampling()},
            "sampling follows no beams, got num_beams 4; set num_beams to 1 (num_return_sequences says how many texts "
            "are drawn), or leave sampling out",
        ),
        (
            {"num_beams": 2, "num_return_sequences": 3},
            "num_return_sequences 3 is more than num_beams 2 gives; raise num_beams, or set sampling",
        ),
    ],
)
def test_a_setting_out_of_range_or_against_another_is_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        GenerationConfig(**{**NEEDED, **settings})
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"temperature": 0.0},
            "temperature must be a finite number above 0, got 0.0; for the likeliest token at every step leave "
            "sampling out",
        ),
        ({"temperature": float("inf")}, "temperature must be a finite number above 0, got inf"),
        ({"top_k": 0}, "top_k must be at least 1, or None for all tokens, got 0"),
        ({"top_p": 0.0}, "top_p must be a share above 0 and at most 1, got 0.0"),
        ({"top_p": 1.5}, "top_p must be a share above 0 and at most 1, got 1.5"),
        ({"seed": 2**63}, "seed must be a whole number of 64 bits, got 9223372036854775808"),
    ],
)
def test_a_way_of_sampling_out_of_range_is_refused(settings, message):
    with pytest.raises(ConfigError) as error:
        Sampling(**settings)
    assert str(error.value).startswith(message)


def test_the_length_norms_are_those_of_transformers_and_of_wu_et_al():
    norms = {
        norm: GenerationConfig(**NEEDED, length_penalty=0.8, length_norm=norm).norm(7)
        for norm in ("transformers", "google")
    }
    assert norms == {"transformers": 7**0.8, "google": 2**0.8}
