import dataclasses

import numpy as np
import pytest
import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics import attention_view as views
from bigbird.genomics.attention_view import KINDS, attention_view
from bigbird.genomics.explain_files import write_attention
from bigbird.genomics.explain_target import target_of_record
from bigbird.model.encoder import encoder_of
from bigbird.tokenizers import KmerTokenizer
from helpers import STRANDED, dna, loaded_model

SPEC = PatternSpec(block_size=16, window_blocks=3, global_blocks=2, random_blocks=1)


def target_of(length):
    return target_of_record(Record(sequence=dna(length, 1), name="r"))


@pytest.fixture
def loaded():
    return loaded_model(STRANDED, pattern=SPEC)


def test_the_view_is_the_pattern_that_computes(loaded):
    target, seen = target_of(200), []
    for layer in encoder_of(loaded.model).layers:
        layer.attention.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[1]))
    view = attention_view(loaded, target, weights=False)
    tokens = loaded.task.encode(Record(sequence=target.sequence), loaded.tokenizer, purpose="predict")[0].token_ids
    layout = DocumentLayout((len(tokens),), 16)
    encoder_of(loaded.model)(layout.pack(torch.from_numpy(tokens)), layout=layout)
    assert len(seen) == 2
    for counts, pattern in zip(view.counts, seen, strict=True):
        np.testing.assert_array_equal(counts, pattern.counts().numpy())
    assert view.weights is None


def test_blocks_stand_for_bases_and_are_seen_for_a_reason(loaded):
    view = attention_view(loaded, target_of(200))  # 202 tokens, 13 blocks
    assert view.starts.tolist() == [0, *range(15, 200, 16)]
    assert view.ends.tolist() == [*range(15, 200, 16), 200]
    assert (view.block_of(0), view.block_of(14), view.block_of(15), view.block_of(199)) == (0, 0, 1, 12)
    names = np.array(KINDS)[view.kinds]
    assert names[0, 0, 5, 4:7].tolist() == ["window"] * 3
    assert names[0, 0, 5, [0, 12]].tolist() == ["global", "global"]
    assert (names[:, :, 2:-2] == "random").sum(-1).max() == 1
    assert ((view.kinds > 0) == (view.counts > 0)).all()
    short = attention_view(loaded, target_of(60))
    assert (np.array(KINDS)[short.kinds] == "full").all()


@pytest.mark.parametrize("length", [200, 60, 5])
def test_weights_are_shares_of_what_is_seen(loaded, length):
    view = attention_view(loaded, target_of(length))
    np.testing.assert_allclose(view.weights.sum(-1), 1, atol=1e-5)
    assert (view.weights[view.counts == 0] == 0).all()


def test_weights_times_values_are_what_attention_gives(loaded):
    found = []
    attention = encoder_of(loaded.model).layers[0].attention

    def compare(module, arguments):
        x, pattern, visibility = arguments
        q, k, v = module.heads(x, visibility)
        shares = views.reference.weights(q, k, pattern=pattern, key_mask=visibility.key_mask, scale=q.shape[3] ** -0.5)
        found.append(module.output((shares @ v)[0].transpose(0, 1).reshape(x.shape)))

    attention.register_forward_pre_hook(compare)
    attention.register_forward_hook(lambda _module, _arguments, output: found.append(output))
    with torch.no_grad():
        attention_view(loaded, target_of(200))
    torch.testing.assert_close(found[0][:202], found[1][:202], rtol=1e-4, atol=1e-6)


def test_windows_too_long_for_weights_say_so(loaded, monkeypatch):
    monkeypatch.setattr(views, "MAX_TOKENS", 100)
    with pytest.raises(ConfigError, match="computed for at most 100 tokens, and this window has 202. Give a shorter"):
        attention_view(loaded, target_of(200))


def test_the_table_tells_what_the_block_that_is_read_sees(tmp_path):
    loaded = loaded_model(STRANDED, tokenizer=KmerTokenizer(8), bases_per_token=8, pattern=SPEC)
    target = dataclasses.replace(target_of(1_000), window=Interval("chr1", 5_000, 6_000, "-"))
    view = attention_view(loaded, target)
    write_attention(tmp_path, "1.", target, view, place=0)
    rows = [line.split("\t") for line in (tmp_path / "1.attention.tsv").read_text().splitlines()]
    assert rows[0] == ["layer", "head", "contig", "start", "end", "kind", "count", "weight"]
    assert len(rows) - 1 == (view.counts[:, :, 0] > 0).sum()
    first = rows[1]
    assert first[:5] == ["1", "1", "chr1", "5881", "6000"]  # 15 tokens of 8 bases, behind [CLS]
    assert sum(float(row[7]) for row in rows[1:] if row[:2] == ["1", "1"]) == pytest.approx(1, abs=1e-3)
    with np.load(tmp_path / "1.attention.npz") as arrays:
        np.testing.assert_array_equal(arrays["kinds"], view.kinds)


@pytest.mark.parametrize("length", [206, 207, 222, 223, 14, 15])  # 15 + 16 * n: the last block is [SEP] alone
@pytest.mark.parametrize("weights", [True, False])
def test_a_block_without_bases_is_no_row_of_the_table(tmp_path, loaded, length, weights):
    target = target_of(length)
    view = attention_view(loaded, target, weights=weights)
    write_attention(tmp_path, "", target, view, place=length - 1)
    rows = [line.split("\t") for line in (tmp_path / "attention.tsv").read_text().splitlines()[1:]]
    assert len(view.ends) == (length + 2 + 15) // 16
    assert max(int(row[4]) for row in rows) == length
    assert all(int(row[3]) <= int(row[4]) for row in rows)
    num_keys = np.count_nonzero(view.counts[0, 0, view.block_of(length - 1), view.ends > view.starts])
    assert sum(row[:2] == ["1", "1"] for row in rows) == num_keys
