import dataclasses

import numpy as np
import pytest
import torch

from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import encoder_of
from bigbird.representations import encoding
from bigbird.representations.embedding import EmbeddingConfig, embeddings
from bigbird.tasks import Classification, MaskedLM, TokenClassification
from bigbird.tokenizers import KmerTokenizer, reverse_complement
from helpers import STRANDED, YES_NO, dna, encoder_config, loaded_model

SHORT = Classification(labels=("no", "yes"), max_length=34, overlap=0)  # windows of 32 bases, 4 shared


def records(*lengths):
    return [Record(sequence=dna(length, length), name=f"r{length}") for length in lengths]


def embedded(loaded, some, **settings):
    return list(embeddings(loaded, some, EmbeddingConfig(**settings)))


def hidden(loaded, sequence):
    """[CLS], a row per base, [SEP]: the encoder itself, without any of ours around it."""
    ids = loaded.tokenizer.encode_batch([sequence])[0].ids
    special = [loaded.tokenizer.special_id(token) for token in ("[CLS]", "[SEP]")]
    with torch.inference_mode():
        return encoder_of(loaded.model)(torch.tensor([[special[0], *ids, special[1]]]))[0].numpy()


def test_mean_first_and_max_are_what_they_say():
    loaded, (record,) = loaded_model(YES_NO), records(100)
    rows = hidden(loaded, record.sequence)
    for pool, expected in {"mean": rows[1:-1].mean(0), "first": rows[0], "max": rows[1:-1].max(0)}.items():
        (one,) = embedded(loaded, [record], pool=pool)
        np.testing.assert_allclose(one.vectors, expected[None], rtol=1e-4, atol=1e-6)
        assert (one.starts.tolist(), one.ends.tolist(), one.vectors.dtype) == ([0], [100], np.float32)


@pytest.mark.parametrize("pool", ["mean", "first", "max", "none"])
def test_a_record_s_vectors_do_not_depend_on_its_neighbours(pool):
    loaded, some = loaded_model(SHORT), records(7, 300, 45, 90)
    together = embedded(loaded, some, pool=pool)
    alone = [one for record in some for one in embedded(loaded, [record], pool=pool)]
    assert [one.name for one in together] == [one.name for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert (one.vectors == other.vectors).all()


def test_tokens_of_a_long_record_each_count_once_and_with_context_on_both_sides():
    loaded, (record,) = loaded_model(SHORT), records(100)
    parts = embedded(loaded, [record], pool="none")
    assert len(parts) > 2  # a window at a time: nothing piles up
    starts, ends = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends"))
    assert starts.tolist() == list(range(100))
    assert ends.tolist() == list(range(1, 101))
    window = hidden(loaded, record.sequence[28:60])  # the second window; bases 30 to 57 are its own
    np.testing.assert_allclose(parts[1].vectors, window[3:-3], rtol=1e-4, atol=1e-6)
    (mean,) = embedded(loaded, [record])
    np.testing.assert_allclose(mean.vectors[0], np.concatenate([p.vectors for p in parts]).mean(0), rtol=1e-5)


def test_first_of_a_long_record_is_the_mean_of_its_windows_by_their_letters():
    loaded, (record,) = loaded_model(SHORT), records(60)
    (one,) = embedded(loaded, [record], pool="first")
    windows = [hidden(loaded, record.sequence[part])[0] for part in (slice(0, 32), slice(28, 60))]
    np.testing.assert_allclose(one.vectors[0], (windows[0] * 30 + windows[1] * 30) / 60, rtol=1e-4, atol=1e-6)


def test_a_token_counts_as_often_as_it_has_known_bases():
    tokenizer = KmerTokenizer(8)
    task = TokenClassification(labels=("site+", "site-"), max_length=64, overlap=8)
    loaded = loaded_model(task, tokenizer=tokenizer, bases_per_token=8)
    sequence = "ACGTACGT" + "ACNNNNNN" + "NNNNNNNN" + "ACG"
    (tokens,) = embedded(loaded, [Record(sequence=sequence)], pool="none")
    (mean,) = embedded(loaded, [Record(sequence=sequence)])
    weights = np.array([8, 2, 0, 3])
    np.testing.assert_allclose(mean.vectors[0], (tokens.vectors * weights[:, None]).sum(0) / 13, rtol=1e-5)
    (most,) = embedded(loaded, [Record(sequence=sequence)], pool="max")
    np.testing.assert_array_equal(most.vectors[0], tokens.vectors[[0, 1, 3]].max(0))
    (unknown,) = embedded(loaded, [Record(sequence="N" * 20)])
    assert np.isfinite(unknown.vectors).all()


@pytest.mark.parametrize("pool", ["mean", "first", "max"])
@pytest.mark.parametrize("task", [STRANDED, MaskedLM(max_length=34)])
def test_both_strands_make_a_sequence_and_its_reverse_complement_one(task, pool):
    loaded, (record,) = loaded_model(task), records(120)
    other = dataclasses.replace(record, sequence=reverse_complement(record.sequence))
    one, two = embedded(loaded, [record, other], pool=pool, strands="both")
    assert (one.vectors == two.vectors).all()
    given = embedded(loaded, [record, other], pool=pool)
    np.testing.assert_allclose(one.vectors, (given[0].vectors + given[1].vectors) / 2, rtol=1e-5, atol=1e-7)


def test_layers_are_counted_from_both_ends():
    loaded, (record,) = loaded_model(YES_NO), records(50)
    embedding, first, last = (embedded(loaded, [record], layer=layer)[0].vectors for layer in (0, 1, 2))
    assert (embedded(loaded, [record])[0].vectors == last).all()
    assert (embedded(loaded, [record], layer=-2)[0].vectors == first).all()
    assert (embedded(loaded, [record], layer=-3)[0].vectors == embedding).all()
    table = encoder_of(loaded.model).embeddings
    ids = torch.from_numpy(loaded.tokenizer.encode_batch([record.sequence])[0].ids)
    expected = table(ids, torch.zeros_like(ids)).detach().numpy().mean(0)
    np.testing.assert_allclose(embedding[0], expected, rtol=1e-4, atol=1e-6)
    for layer in (3, -4):
        with pytest.raises(ConfigError, match=r"layer must be from 0 \(the embeddings\) to 2 .*to -3, got"):
            embedded(loaded, [record], layer=layer)


def test_what_is_longer_than_a_part_is_made_into_tokens_in_parts(monkeypatch):
    loaded, (record,) = loaded_model(SHORT), records(100)
    whole = embedded(loaded, [record], pool="none")
    monkeypatch.setattr(encoding, "_PART_TOKENS", 60)
    parts = embedded(loaded, [record], pool="none")
    assert np.concatenate([part.starts for part in parts]).tolist() == list(range(100))
    np.testing.assert_array_equal(parts[0].vectors, whole[0].vectors)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="pool must be one of mean, first, max, none, got 'sum'"):
        EmbeddingConfig(pool="sum")
    with pytest.raises(ConfigError, match="strands must be one of given, both, got 'all'"):
        EmbeddingConfig(strands="all")
    with pytest.raises(ConfigError, match="strands 'both' averages pooled embeddings; .* Use pool mean, max or first"):
        EmbeddingConfig(pool="none", strands="both")
    with pytest.raises(DataError, match="record 'x' holds no tokens; leave it out"):
        embedded(loaded_model(YES_NO), [Record(sequence="", name="x")])


def test_the_model_keeps_its_mode():
    loaded = loaded_model(YES_NO)
    loaded.model.train()
    embedded(loaded, records(20))
    assert loaded.model.training
    assert encoder_config().dropout > 0
