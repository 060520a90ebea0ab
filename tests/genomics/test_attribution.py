import dataclasses

import numpy as np
import pytest
import torch

from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.attribution import attribution
from bigbird.genomics.explain_target import Question, target_of_record
from bigbird.genomics.log_odds import Reader
from bigbird.model.encoder import encoder_of
from bigbird.tasks import Classification, TokenClassification
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, reverse_complement
from helpers import STRANDED, dna, loaded_model

PAIRS = DnaTokenizer.train([dna(400, seed) for seed in range(4)], vocab_size=40)
KMERS = {"tokenizer": KmerTokenizer(8), "bases_per_token": 8}
WHOLE = Classification(labels=("a", "b", "c"), max_length=256, overlap=16)
STRANDED_PAIRS = TokenClassification(labels=("site+", "site-"), max_length=256, overlap=16, strands="both")
MODELS = {
    "bases": lambda: loaded_model(STRANDED),
    "pairs": lambda: loaded_model(STRANDED_PAIRS, tokenizer=PAIRS),
    "kmers": lambda: loaded_model(STRANDED, **KMERS),
    "whole": lambda: loaded_model(WHOLE),
}
ASKED = Question("", 1, 33, 0.5)


def target_of(sequence):
    return target_of_record(Record(sequence=sequence, name="r"))


@pytest.mark.parametrize("kind", MODELS)
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(kind):
    loaded, target = MODELS[kind](), target_of(dna(90, 1) + "NNNN" + dna(20, 2))
    found = attribution(loaded, target, ASKED, num_steps=64)
    reader = Reader(loaded)
    with torch.no_grad():
        score = float(reader.log_odds(*reader.prepared([target.sequence], [33]))[0, 1])
    assert found.score == pytest.approx(score, abs=1e-5)
    assert abs(found.score - found.baseline) > 1e-4
    assert abs(found.missing) < 0.02 * abs(found.score - found.baseline)
    assert found.exact == (kind == "kmers")
    assert (found.values[90:94] == 0).all()
    assert np.count_nonzero(found.values) > 60


def test_a_token_s_value_is_shared_out_evenly_over_its_bases():
    loaded, target = MODELS["pairs"](), target_of(dna(90, 1))
    loaded = dataclasses.replace(loaded, task=dataclasses.replace(loaded.task, strands="given"))
    values = attribution(loaded, target, ASKED, method="gradient").values
    (encoding,) = loaded.tokenizer.encode_batch([target.sequence])
    for start, end in zip(encoding.starts, encoding.ends, strict=True):
        assert len(np.unique(values[start:end])) == 1
    assert len(np.unique(values)) > 10


def test_gradient_times_input_is_the_derivative_by_the_vectors():
    loaded, target = loaded_model(WHOLE), target_of(dna(40, 1))
    found = attribution(loaded, target, ASKED, method="gradient")
    tokens = encoder_of(loaded.model).embeddings.tokens
    (encoding,) = loaded.tokenizer.encode_batch([target.sequence])
    reader = Reader(loaded)
    for parameter in loaded.model.parameters():
        parameter.grad = None
    score = reader.log_odds(*reader.prepared([target.sequence], [0]))[0, 1]
    score.backward()
    # A letter's row of the table gathers the gradients of all its places.
    vectors = tokens.weight.detach()[torch.from_numpy(encoding.ids)]
    by_letter = ((tokens.weight.detach() - vectors.mean(0)) * tokens.weight.grad).sum(1).numpy()
    for letter in "ACGT":
        places = [place for place, base in enumerate(target.sequence) if base == letter]
        total = found.values[places].sum()
        assert total == pytest.approx(by_letter[loaded.tokenizer.encode_batch([letter])[0].ids[0]], abs=1e-5)


def test_bases_of_a_convolution_are_told_apart_and_equal_small_changes():
    loaded, target = MODELS["kmers"](), target_of(dna(64, 1))
    found = attribution(loaded, target, ASKED, method="gradient")
    token = found.values[32:40]
    assert len(np.unique(token)) == 8
    encoder = encoder_of(loaded.model).embeddings.tokens
    letters = encoder.letters(torch.from_numpy(loaded.tokenizer.encode_batch([target.sequence])[0].ids))
    whole = torch.nn.functional.one_hot(letters, 8).float()
    positions = torch.arange(len(letters))
    ids = torch.from_numpy(loaded.tokenizer.encode_batch([target.sequence])[0].ids)
    with torch.no_grad():
        torch.testing.assert_close(encoder.of_shares(whole, positions), encoder(ids, positions), rtol=0, atol=0)


def test_the_other_strand_s_attributions_are_the_mirror():
    loaded, sequence = MODELS["kmers"](), dna(100, 2)
    one = attribution(loaded, target_of(sequence), Question("site+", 0, 45, 0.5))
    two = attribution(loaded, target_of(reverse_complement(sequence)), Question("site-", 1, 54, 0.5))
    np.testing.assert_allclose(one.values, two.values[::-1], atol=1e-5)


def test_the_model_is_left_as_it_was():
    loaded = MODELS["kmers"]()
    loaded.model.train()
    attribution(loaded, target_of(dna(40, 1)), ASKED, num_steps=2)
    assert loaded.model.training
    assert all(parameter.grad is None for parameter in loaded.model.parameters())
    assert not encoder_of(loaded.model).embeddings.tokens._forward_hooks


def test_methods_that_are_none_are_refused():
    for method, steps in (("magic", 3), ("integrated-gradients", 0)):
        with pytest.raises(ConfigError, match="the method must be one of integrated-gradients, gradient with at least"):
            attribution(MODELS["bases"](), target_of("ACGT"), ASKED, method=method, num_steps=steps)
