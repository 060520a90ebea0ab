"""Beam search and greedy writing give what transformers' `generate` gives, token for token, with the same scores."""

import itertools
import random

import pytest
import torch

transformers = pytest.importorskip("transformers")

from bigbird.model.generation import generate  # noqa: E402
from bigbird.model.generation_config import GenerationConfig  # noqa: E402
from decodings import END, START, TransformersDecoding  # noqa: E402

PAD, VOCABULARY = 0, 24
VALUES = {
    "num_beams": [1, 2, 5],
    "length_penalty": [0.0, 0.8, 1.0, 2.0, -0.5],
    "early_stopping": [True, False, "never"],
    "no_repeat_ngram_size": [0, 1, 2, 3],
    "min_new_tokens": [0, 3],
    "forced_end": [False, True],
}
EVERY = [dict(zip(VALUES, values, strict=True)) for values in itertools.product(*VALUES.values())]
random.Random(0).shuffle(EVERY)
CASES = EVERY[:100]  # 540 others were tried once, but take minutes
NONE_WRITTEN = -1e8  # theirs fills up with texts of this score and below


def model(seed):
    """A tiny Bart or Pegasus with large random weights, which ends a text after a few tokens."""
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "init_std": 0.5}
    tokens = {"pad_token_id": PAD, "bos_token_id": START, "eos_token_id": END, "decoder_start_token_id": START}
    settings = {"vocab_size": VOCABULARY, "max_position_embeddings": 32, **sizes, **heads, **tokens}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if seed % 2:
            made = transformers.PegasusForConditionalGeneration(transformers.PegasusConfig(**settings))
        else:
            made = transformers.BartForConditionalGeneration(transformers.BartConfig(**settings))
        made.final_logits_bias[0, END] = [0.0, 1.5, 3.0][seed % 3]
        return made.eval(), torch.randint(3, VOCABULARY, (1, 9))


def theirs(made, token_ids, case, max_new_tokens):
    """[(tokens without start and end, whether they have an end, score)]; greedy has no score."""
    settings = {key: value for key, value in case.items() if key != "forced_end"}
    if case["num_beams"] == 1:
        settings = {key: settings[key] for key in ("no_repeat_ngram_size", "min_new_tokens")}
    if case["forced_end"]:
        settings["forced_eos_token_id"] = END
    tokens = {"pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": START}
    made.generation_config = transformers.GenerationConfig(
        max_new_tokens=max_new_tokens, num_return_sequences=case["num_beams"], **settings, **tokens, use_cache=False
    )
    out = made.generate(token_ids, return_dict_in_generate=True, output_scores=True)
    scores = [None] if case["num_beams"] == 1 else out.sequences_scores.tolist()
    for sequence, score in zip(out.sequences.tolist(), scores, strict=True):
        if score is None or score > NONE_WRITTEN:
            text = sequence[1 : 1 + max_new_tokens]
            has_end = END in text
            yield tuple(text[: text.index(END)] if has_end else text), has_end, score


def ours(made, token_ids, case, max_new_tokens):
    config = GenerationConfig(
        start_token=START,
        end_token=END,
        max_new_tokens=max_new_tokens,
        num_return_sequences=case["num_beams"],
        **case,
    )
    return generate(TransformersDecoding(made, token_ids), config)[0]


@torch.no_grad()
def compare(seed, case):
    """How long the texts were and how many of them ended."""
    made, token_ids = model(seed)
    max_new_tokens = 4 + seed % 8
    expected = list(theirs(made, token_ids, case, max_new_tokens))
    written = ours(made, token_ids, case, max_new_tokens)
    assert [(text.token_ids, text.has_ended) for text in written] == [text[:2] for text in expected], (seed, case)
    if case["num_beams"] > 1:
        assert [text.score for text in written] == pytest.approx([text[2] for text in expected], rel=1e-6, abs=1e-5), (
            seed,
            case,
        )
    return [(len(text.token_ids), text.has_ended) for text in written]


@pytest.mark.parametrize("part", range(5))
def test_texts_and_scores_are_those_of_transformers(part):
    written = [text for seed in range(part, len(CASES), 5) for text in compare(seed, CASES[seed])]
    ended = [length for length, has_ended in written if has_ended]
    assert len(set(ended)) > 5  # of many lengths, and not all of one kind
    assert len(ended) < len(written)


@torch.no_grad()
def test_a_greedy_score_is_the_sum_of_the_log_probabilities_over_the_length_norm():
    made, token_ids = model(2)
    case = {"num_beams": 1, "length_penalty": 0.8, "min_new_tokens": 4}
    text = ours(made, token_ids, case, 9)[0]
    tokens = [*text.token_ids, *([END] if text.has_ended else [])]
    logits = made(token_ids, decoder_input_ids=torch.tensor([[START, *tokens[:-1]]])).logits[0]
    total = logits.log_softmax(-1)[range(len(tokens)), tokens].sum().item()
    assert text.score == pytest.approx(total / len(tokens) ** 0.8, rel=1e-6, abs=1e-5)
