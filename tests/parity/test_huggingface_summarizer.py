"""Summarizers read from BigBirdPegasus folders compute what transformers 5.23 computes with the same weights.

Theirs switches to full attention for good after one short document, so comparisons take a fresh model.
"""

import json

import pytest
import torch
from safetensors.torch import load_file

from bigbird.attention import DocumentLayout
from bigbird.interop.huggingface_summarizer import load_summarizer, save_summarizer
from bigbird.interop.warm_start import Goal, prepare

transformers = pytest.importorskip("transformers")

from huggingface_models import BLOCK, VOCABULARY, pegasus, randomised, tokens, twin  # noqa: E402

KIND = "BigBirdPegasusForConditionalGeneration"
GRAPHS = pytest.mark.parametrize("graph", ["transformers-train", "transformers-eval"])
LENGTH = 400  # tokens: sparse under every graph


@pytest.fixture
def folder_of(tmp_path):
    def make(dtype=torch.float32, **values):
        theirs = pegasus(KIND, dtype=dtype, **values)
        theirs.final_logits_bias.normal_(generator=torch.Generator().manual_seed(1))
        theirs.save_pretrained(tmp_path / "theirs")
        return tmp_path / "theirs"

    return make


def reread(folder, graph="transformers-eval", dtype=None):
    """Their model, fresh and in the mode of the graph."""
    model = getattr(transformers, KIND).from_pretrained(folder, dtype=dtype)
    return model.train(graph == "transformers-train")


def targets(num_rows, length, vocab_size=VOCABULARY):
    return torch.randint(3, vocab_size, (num_rows, length), generator=torch.Generator().manual_seed(length))


@torch.no_grad()
def their_logits(model, sources, targets):
    return model(**sources, decoder_input_ids=targets).logits


@torch.no_grad()
def our_logits(model, sources, targets):
    """Of a padded batch: [rows, length, vocab]."""
    mask, block_size = sources["attention_mask"].bool(), model.encoder.config.pattern.block_size
    layout = DocumentLayout.from_mask(mask, block_size=block_size)
    target_layout = DocumentLayout((targets.shape[1],) * len(targets), block_size)
    packed = layout.pack(sources["input_ids"][mask]), target_layout.pack(targets.flatten())
    return target_layout.unpack(model(*packed, layout=layout, target_layout=target_layout)).view(*targets.shape, -1)


def difference(a, b):
    return float((a - b).abs().max())


@GRAPHS
@pytest.mark.parametrize(
    "values", [{}, {"activation_function": "relu", "use_bias": True}, {"activation_function": "gelu"}]
)
def test_logits_equal_theirs(folder_of, graph, values):
    folder = folder_of(**values, scale_embedding=values != {})
    given = tokens(LENGTH), targets(1, 37)
    found = our_logits(load_summarizer(folder, graph), *given)
    torch.testing.assert_close(found, their_logits(reread(folder, graph), *given), rtol=0, atol=1e-5)


def test_at_a_larger_width_they_are_equal_too(folder_of):
    folder = folder_of(max_position_embeddings=1024)
    config = transformers.BigBirdPegasusConfig.from_pretrained(
        folder, d_model=256, encoder_ffn_dim=1024, decoder_ffn_dim=768, decoder_attention_heads=8, block_size=64
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        getattr(transformers, KIND)(config).save_pretrained(folder)
    given = tokens(1000), targets(1, 130)
    found, theirs = (
        our_logits(load_summarizer(folder, "transformers-eval"), *given),
        their_logits(reread(folder), *given),
    )
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-5)


@GRAPHS
def test_padded_batches_equal_theirs_where_its_padding_changes_nothing(folder_of, graph):
    folder = folder_of()
    for lengths in ((176, 3, 70), (400, 397, 385)):  # full attention; padding within the block the document ends in
        given = tokens(*lengths), targets(3, 20)
        theirs = their_logits(reread(folder, graph), *given)
        torch.testing.assert_close(our_logits(load_summarizer(folder, graph), *given), theirs, rtol=0, atol=1e-5)


def test_greedy_tokens_equal_those_that_theirs_generates(folder_of):
    folder = folder_of()
    theirs, ours = reread(folder), load_summarizer(folder, "transformers-eval")
    settings = {"num_beams": 1, "do_sample": False, "max_new_tokens": 20, "eos_token_id": None, "pad_token_id": 0}
    expected = theirs.generate(**tokens(LENGTH), **settings)[0]
    layout = DocumentLayout((LENGTH,), BLOCK)
    decoding = ours.begin(ours.encode(layout.pack(tokens(LENGTH)["input_ids"][0]), layout), layout)
    found = [2]
    for _ in range(20):
        found.append(int(decoding.step(torch.tensor(found[-1:])).argmax()))
    assert found == expected.tolist()


def test_faults_of_theirs_are_there_and_not_here(folder_of):
    folder = folder_of()
    ours = load_summarizer(folder, "transformers-eval")
    long, padded, target = tokens(LENGTH), tokens(LENGTH, padded_to=LENGTH + 64), targets(1, 20)
    theirs = reread(folder)
    before = [their_logits(theirs, long, target), our_logits(ours, long, target)]
    pads = [their_logits(theirs, padded, target), our_logits(ours, padded, target)]
    trains = [their_logits(twin(theirs).train(), long, target), our_logits(twin(ours).train(), long, target)]
    for logits_of, model in ((their_logits, theirs), (our_logits, ours)):
        logits_of(model, tokens(20), target)
    after = [their_logits(theirs, long, target), our_logits(ours, long, target)]
    for changed in (pads, trains, after):
        assert difference(changed[0], before[0]) > 1e-3
        assert torch.equal(changed[1], before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_theirs_read_and_written_is_theirs_bit_by_bit(folder_of, tmp_path, dtype):
    first, second = folder_of(dtype), tmp_path / "second"
    save_summarizer(load_summarizer(first), second, like=first)
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) and other[name].dtype == dtype for name in one)
    assert json.loads((first / "config.json").read_text()) == json.loads((second / "config.json").read_text())


def test_without_like_theirs_reads_what_ours_writes(folder_of, tmp_path):
    ours = load_summarizer(folder_of(), "transformers-eval")
    save_summarizer(ours, tmp_path / "ours", max_shard_bytes=50_000)
    theirs, info = getattr(transformers, KIND).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    given = tokens(LENGTH), targets(1, 20)
    torch.testing.assert_close(our_logits(ours, *given), their_logits(theirs.eval(), *given), rtol=0, atol=1e-5)


def test_a_pegasus_turned_into_one_writes_what_it_wrote(tmp_path):
    """Full attention over all the source: what its own library computes."""
    config = transformers.PegasusConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=512, dropout=0.0,
        activation_function="relu", scale_embedding=True,
    )  # fmt: skip
    theirs = randomised(transformers.PegasusForConditionalGeneration, config, torch.float32)
    with torch.no_grad():  # their tables are sinusoids, whatever numbers they are given
        for part in (theirs.model.encoder, theirs.model.decoder):
            part.embed_positions.weight.copy_(part.embed_positions.create_weight())
    theirs.save_pretrained(tmp_path / "pegasus")
    prepare(tmp_path / "pegasus", Goal(max_length=512, block_size=BLOCK)).save(tmp_path / "bigbird")
    values = json.loads((tmp_path / "bigbird/config.json").read_text())
    (tmp_path / "bigbird/config.json").write_text(json.dumps(values | {"attention_type": "original_full"}))
    given = tokens(300, 123), targets(2, 20)
    found = our_logits(load_summarizer(tmp_path / "bigbird"), *given)
    torch.testing.assert_close(found, their_logits(theirs, *given), rtol=0, atol=1e-5)
