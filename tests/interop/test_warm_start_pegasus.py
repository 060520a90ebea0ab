"""Out of a Pegasus comes a BigBirdPegasus that writes the same summaries, and out of that one a longer one."""

import json

import pytest
import torch
from safetensors.torch import load_file

from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface
from bigbird.interop.warm_start import Goal, prepare, warm_start
from bigbird.interop.warm_start_positions import is_sinusoidal, longer, repeated, sinusoids
from bigbird.model.encoder import Encoder
from bigbird.tokenizers import TextTokenizer
from hub_folders import change_config, change_weights, shard
from sentencepiece_models import CONTROL, NORMAL, UNKNOWN, model_bytes

transformers = pytest.importorskip("transformers")
dense_folders = pytest.importorskip("dense_folders")
summarizer_folder, token_ids = dense_folders.summarizer_folder, dense_folders.token_ids

SUMMARIZER = transformers.BigBirdPegasusForConditionalGeneration
SHARED = "model.shared.weight"
TABLES = ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"]
COPIES = ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"]
GOAL = Goal(max_length=200, block_size=8)
PUBLISHED = {  # beside the usual settings, in the folders of google/pegasus-xsum and its siblings
    "add_bias_logits": False,
    "add_final_layer_norm": True,
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "extra_pos_embeddings": 1,
    "force_bos_token_to_be_generated": False,
    "gradient_checkpointing": False,
    "length_penalty": 0.6,
    "max_length": 64,
    "normalize_before": True,
    "normalize_embedding": False,
    "num_beams": 8,
    "num_hidden_layers": 2,
    "static_position_embeddings": True,
    "bos_token_id": 0,
}


def tensors(folder):
    return load_file(folder / "model.safetensors")


def config(folder):
    return json.loads((folder / "config.json").read_text())


def read_by_transformers(folder, kind=SUMMARIZER):
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def equal_summaries(theirs, new):
    """Logits of both, for documents of one length and for a padded batch."""
    written = token_ids(13)
    for length in (1, 21, 63, 64):
        ids = token_ids(length)
        expected = theirs(ids, decoder_input_ids=written).logits
        torch.testing.assert_close(new(ids, decoder_input_ids=written).logits, expected, rtol=1e-5, atol=1e-5)
    batch = {
        "input_ids": torch.cat((token_ids(40), token_ids(40).roll(3, 1))),
        "attention_mask": (torch.arange(40) < torch.tensor([[40], [17]])).long(),
        "decoder_input_ids": written.expand(2, -1),
    }
    torch.testing.assert_close(new(**batch).logits, theirs(**batch).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"scale_embedding": False, "activation_function": "gelu"},
        {"max_position_embeddings": 50, "activation_function": "gelu_new", "decoder_layers": 1},
    ],
    ids=str,
)
def test_a_pegasus_reads_and_writes_as_before(tmp_path, values):
    folder, theirs = summarizer_folder(tmp_path / "pegasus", **{"max_position_embeddings": 64} | values)
    prepare(folder, GOAL).save(tmp_path / "big")
    new = read_by_transformers(tmp_path / "big")
    if not values:
        equal_summaries(theirs, new)
    ours = huggingface.load_encoder(tmp_path / "big")
    assert (ours.config.max_length, ours.config.pattern.graph, ours.config.pattern.block_size) == (200, "paper", 8)
    for length in (1, 17, theirs.config.max_position_embeddings):
        ids, written = token_ids(length), token_ids(9)
        expected = theirs(ids, decoder_input_ids=written)
        torch.testing.assert_close(ours(ids), expected.encoder_last_hidden_state, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(new(ids, decoder_input_ids=written).logits, expected.logits, rtol=1e-5, atol=1e-5)
    assert ours(token_ids(200)).shape == (1, 200, 32)


@torch.no_grad()
def test_it_generates_the_same_summary_with_the_settings_that_came_along(tmp_path):
    folder, theirs = summarizer_folder(tmp_path / "pegasus")
    theirs.generation_config.num_beams = 3
    theirs.generation_config.max_length = 12
    theirs.save_pretrained(folder)
    prepared = prepare(folder, GOAL)
    assert "kept: generation_config.json, how summaries are written" in prepared.notes
    prepared.save(tmp_path / "big")
    new = read_by_transformers(tmp_path / "big")
    assert new.generation_config.to_diff_dict() == theirs.generation_config.to_diff_dict()
    assert torch.equal(new.generate(token_ids(50)), theirs.generate(token_ids(50)))


@torch.no_grad()
def test_a_published_folder_of_old_is_read_and_its_settings_of_bart_are_dropped(tmp_path):
    folder, theirs = summarizer_folder(tmp_path / "pegasus")
    (folder / "generation_config.json").unlink()
    change_config(folder, **PUBLISHED)
    change_weights(folder, lambda w: w.update({copy: w[SHARED].clone() for copy in COPIES}))
    change_weights(folder, lambda w: [w.pop(table) for table in TABLES])
    prepared = prepare(folder, GOAL)
    assert "positions of the decoder: 200 sinusoids, which the source computes and does not store" in prepared.notes
    prepared.save(tmp_path / "big")
    values = config(tmp_path / "big")
    assert not values.keys() & {"normalize_before", "static_position_embeddings", "extra_pos_embeddings"}
    assert (values["num_beams"], values["bos_token_id"], values["decoder_start_token_id"]) == (8, 0, 0)
    assert not tensors(tmp_path / "big").keys() & set(COPIES)
    new, old = read_by_transformers(tmp_path / "big"), type(theirs).from_pretrained(folder)
    equal_summaries(theirs, new)
    assert new.generation_config.num_beams == 8
    assert new.generation_config.to_diff_dict() == old.generation_config.to_diff_dict()


@torch.no_grad()
def test_what_a_config_leaves_out_is_written_as_pegasus_means_it(tmp_path):
    # BigBirdPegasus leaves out other values: scaled token vectors, gelu_new, another start of summaries.
    folder, theirs = summarizer_folder(
        tmp_path / "pegasus", scale_embedding=False, activation_function="gelu", max_position_embeddings=1024
    )
    values = config(folder)
    for name in ("scale_embedding", "activation_function", "decoder_start_token_id", "max_position_embeddings"):
        values.pop(name)
    (folder / "config.json").write_text(json.dumps(values))
    prepare(folder, Goal()).save(tmp_path / "big")
    new = read_by_transformers(tmp_path / "big")
    assert (new.config.decoder_start_token_id, new.config.bos_token_id) == (0, None)
    assert (new.config.max_position_embeddings, new.config.block_size) == (4096, 64)
    equal_summaries(theirs, new)


def test_every_tensor_is_there_bit_by_bit_and_tied_ones_once(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    prepare(folder, GOAL).save(tmp_path / "big")
    old, new = tensors(folder), tensors(tmp_path / "big")
    assert len(old) == len(new) == 92
    left = [one for name, one in new.items() if name not in TABLES]
    for name, tensor in old.items():
        if name in TABLES:
            assert torch.equal(new[name][:64], tensor)
            assert is_sinusoidal(new[name])
        else:
            assert sum(torch.equal(tensor, other) for other in left) >= 1, name
        assert name not in new or name in TABLES or torch.equal(new[name], tensor)


@torch.no_grad()
def test_an_output_matrix_of_its_own_stays(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    change_weights(folder, lambda w: w.update({"lm_head.weight": torch.randn(120, 32)}))
    theirs = transformers.PegasusForConditionalGeneration.from_pretrained(folder).eval()
    prepared = prepare(folder, GOAL)
    assert "kept: final_logits_bias, lm_head.weight, model.shared.weight" in prepared.notes
    prepared.save(tmp_path / "big")
    equal_summaries(theirs, read_by_transformers(tmp_path / "big"))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_number_type_stays_and_sinusoids_are_still_known(tmp_path, dtype):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    change_weights(folder, lambda w: w.update({name: tensor.to(dtype) for name, tensor in w.items()}))
    prepare(folder, GOAL).save(tmp_path / "big")
    assert {tensor.dtype for tensor in tensors(tmp_path / "big").values()} == {dtype}
    assert config(tmp_path / "big")["dtype"] == str(dtype).removeprefix("torch.")
    assert torch.equal(tensors(tmp_path / "big")[TABLES[0]], sinusoids(200, 32, dtype))


def test_sinusoids_are_those_of_transformers_to_the_bit():
    for hidden_size in (32, 33):
        table = transformers.models.pegasus.modeling_pegasus.PegasusSinusoidalPositionalEmbedding(5000, hidden_size)
        assert torch.equal(sinusoids(5000, hidden_size, torch.float32), table.create_weight())


def test_learned_rows_are_repeated_and_sinusoids_go_on():
    learned = torch.randn(50, 8) * 0.02
    assert torch.equal(longer(learned, 120)[0], torch.cat((learned, learned, learned))[:120])
    computed = sinusoids(120, 8, torch.float32)
    table = computed[:50] + 1e-4  # as another library may have rounded them
    found, how = longer(table, 120)
    assert torch.equal(found[:50], table)
    assert torch.equal(found[50:], computed[50:])
    assert how == "its 50 sinusoids continued to 120"
    assert longer(learned, 50) == (learned, "its 50 rows as they are")


def test_a_pegasus_whose_positions_were_learned_keeps_them(tmp_path):
    folder, theirs = summarizer_folder(tmp_path / "pegasus")
    change_weights(folder, lambda w: w[TABLES[1]].add_(0.01))
    prepared = prepare(folder, GOAL)
    assert "positions of the encoder: its 64 sinusoids continued to 200" in prepared.notes
    assert "positions of the decoder: its 64 rows repeated to 200" in prepared.notes
    assert torch.equal(prepared.weights[TABLES[1]], repeated(theirs.model.decoder.embed_positions.weight + 0.01, 200))


@torch.no_grad()
def test_a_model_without_a_head_and_one_in_parts_are_read(tmp_path):
    bare, theirs = summarizer_folder(tmp_path / "bare", "PegasusModel")
    shard(bare)
    prepared = prepare(bare, GOAL)
    assert prepared.architecture == "BigBirdPegasusModel"
    prepared.save(tmp_path / "big")
    new = read_by_transformers(tmp_path / "big", transformers.BigBirdPegasusModel)
    ids, written = token_ids(40), token_ids(9)
    expected = theirs(ids, decoder_input_ids=written)
    found = new(ids, decoder_input_ids=written)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state, rtol=1e-5, atol=1e-5)
    read_by_transformers(tmp_path / "big")  # the summarizer's head is the table of token vectors


@pytest.mark.parametrize(
    "kind", ["Model", "ForConditionalGeneration", "ForSequenceClassification", "ForQuestionAnswering"]
)
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_bigbird_pegasus_becomes_longer_and_nothing_else(tmp_path, kind, use_bias):
    folder, _ = summarizer_folder(tmp_path / "short", f"BigBirdPegasus{kind}", use_bias=use_bias, block_size=16)
    prepared = prepare(folder, Goal(max_length=130))
    assert prepared.architecture == f"BigBirdPegasus{kind}"
    assert "attention: blocks of 16 tokens, 3 random ones, graph checkpoint" in prepared.notes
    prepared.save(tmp_path / "long")
    old, new = tensors(folder), tensors(tmp_path / "long")
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        expected = repeated(tensor, 130) if name.endswith("embed_positions.weight") else tensor
        assert torch.equal(new[name], expected), name
    carried = config(folder)
    carried.pop("transformers_version")
    assert config(tmp_path / "long") == carried | {"max_position_embeddings": 130}
    read_by_transformers(tmp_path / "long", getattr(transformers, f"BigBirdPegasus{kind}"))


def test_a_stretched_pegasus_is_stretched_again_along_its_sinusoids(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    prepare(folder, GOAL).save(tmp_path / "big")
    again = prepare(tmp_path / "big", Goal(max_length=500))
    at_once = prepare(folder, Goal(max_length=500, block_size=8))
    assert again.settings == at_once.settings
    assert again.weights.keys() == at_once.weights.keys()
    assert all(torch.equal(again.weights[name], tensor) for name, tensor in at_once.weights.items())


def test_warm_start_gives_the_encoder_alone(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    assert isinstance(warm_start(folder, max_length=128, block_size=16), Encoder)


def test_what_training_will_do_otherwise_is_told(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus", attention_dropout=0.2)
    note = (
        "in training activation_dropout 0.1 and attention_dropout 0.2 will act in the decoder alone: BigBird's encoder "
        "has neither"
    )
    assert note in prepare(folder, GOAL).notes


def test_the_vocabulary_comes_along_and_reads_as_pegasus_does(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    special = [("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<unk>", 0.0, UNKNOWN)]
    (folder / "spiece.model").write_bytes(
        model_bytes([*special, *((piece, -1.0, NORMAL) for piece in ("▁", "▁a", "▁b"))])
    )
    assert prepare(folder, GOAL).save(tmp_path / "big") == ("spiece.model", "tokenizer_config.json")
    tokenizer = TextTokenizer.from_folder(tmp_path / "big")
    assert tokenizer.family.name == "pegasus"
    assert tokenizer.encode_batch(["a b"])[0].ids.tolist() == [107, 108]
    settings = json.loads((tmp_path / "big" / "tokenizer_config.json").read_text())
    assert settings == {"model_max_length": 200, "tokenizer_class": "PegasusTokenizer"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bart"}, r"model_type is 'bart'; BigBird can begin from bert, .*, pegasus, bigbird_pegasus"),
        ({"model_type": "mbart"}, r"model_type is 'mbart'; BigBird can begin from"),
        ({"model_type": "pegasus_x"}, r"model_type is 'pegasus_x'; BigBird can begin from"),
        ({"normalize_before": False}, r"config.json: normalize_before is False; in transformers' Pegasus it is True"),
        ({"static_position_embeddings": 1}, r"static_position_embeddings is 1; in transformers' Pegasus it is True"),
        ({"auto_map": {"AutoModel": "x.Y"}}, r"auto_map says .* code of its own, which is not run"),
        ({"some_setting": 1}, r"pegasus/config.json.* no setting 'some_setting'"),
        ({"tie_word_embeddings": False}, r"pegasus/config.json: tie_word_embeddings is false"),
        ({"encoder_layerdrop": 0.1}, r"encoder_layerdrop is 0.1; only models with encoder_layerdrop 0.0"),
        ({"activation_function": "silu"}, r"activation_function must be one of .*, got 'silu'"),
        ({"max_position_embeddings": 512}, r"embed_positions.weight is \[64, 32\], expected \[512, 32\]"),
        ({"max_position_embeddings": 0}, r"max_position_embeddings and d_model must be at least 1"),
        ({"encoder_layers": 3}, r"pegasus: its tensors do not fit its config: 16 missing"),
        ({"encoder_layers": 1}, r"pegasus: its tensors do not fit its config: 16 unknown"),
        ({"decoder_layers": 3}, r"pegasus: the decoder's and position tensors do not fit its config: 26 missing"),
        ({"decoder_layers": 1}, r"the decoder's .* do not fit its config: 26 unknown"),
        ({"decoder_layers": 10**9}, r"92 tensors, too few for 1000000000 decoder layers"),
        ({"decoder_layers": 0}, r"config.json.*decoder_layers must be at least 1, got 0"),
        ({"decoder_ffn_dim": "many"}, r"config.json.*decoder_ffn_dim"),
        ({"decoder_attention_heads": 5}, r"d_model 32 is no multiple of decoder_attention_heads 5"),
        ({"vocab_size": 121}, r"final_logits_bias is \[1, 120\], expected \[1, 121\]"),
        ({"d_model": 10**9}, r"embed_positions.weight is \[64, 32\], expected \[64, 1000000000\]"),
    ],
    ids=str,
)
def test_what_cannot_begin_a_summarizer_is_refused_and_nothing_written(tmp_path, values, message):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    change_config(folder, **values)
    with pytest.raises(CheckpointError, match=message) as caught:
        prepare(folder, GOAL).save(tmp_path / "big")
    assert ".big.part" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["pegasus"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.decoder.layers.1.encoder_attn.k_proj.bias"), r"1 missing \(.*encoder_attn.k_proj.bias"),
        (lambda w: w.pop(SHARED), r"no tensor model.shared.weight, so nothing can begin from it"),
        (
            lambda w: w.update({"model.encoder.layernorm_embedding.bias": torch.zeros(32)}),
            r"has the tensor 'model.encoder.layernorm_embedding.bias' twice, under two names",
        ),
        (lambda w: w.update({"model.decoder.embed_scale": torch.zeros(1)}), r"1 unknown \(model.decoder.embed_scale"),
        (lambda w: w.update({"model.extra": torch.zeros(1)}), r"1 unknown \(model.extra\)"),
        (lambda w: w.update({"final_logits_bias": torch.zeros(1, 120).int()}), r"its tensors are I32; all must be one"),
        (lambda w: w.update({COPIES[0]: torch.zeros(120, 32)}), r"encoder.embed_tokens.weight differs from"),
    ],
)
def test_a_damaged_summarizer_is_refused(tmp_path, change, message):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    change_weights(folder, change)
    with pytest.raises(CheckpointError, match=message):
        prepare(folder, GOAL).save(tmp_path / "big")


def test_a_bigbird_pegasus_without_positions_is_refused(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "short", "BigBirdPegasusModel")
    change_weights(folder, lambda w: w.pop("decoder.embed_positions.weight"))
    with pytest.raises(CheckpointError, match=r"1 missing \(model.decoder.embed_positions.weight\)"):
        prepare(folder, GOAL)


def test_impossible_lengths_are_refused(tmp_path):
    folder, _ = summarizer_folder(tmp_path / "pegasus")
    with pytest.raises(ConfigError, match=r"max_length 32 is less than the 64 tokens that .* reads; give 64 or more"):
        warm_start(folder, max_length=32)
    with pytest.raises(ConfigError, match=r"needs .* of memory or more"):
        warm_start(folder, max_length=2**31 - 1)
    with pytest.raises(ConfigError, match=r"max_length must be from 1 to 2,147,483,647, got 1000000000000000"):
        warm_start(folder, max_length=10**15)
