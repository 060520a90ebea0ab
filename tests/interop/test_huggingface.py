"""Reading and writing the Hub's layout, without transformers; parity is in tests/parity."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.errors import ConfigError
from bigbird.interop import huggingface
from bigbird.model.heads import SequenceClassifier
from hub_folders import CONFIG, MODELS, change_config, change_weights, hub_folder, random_model, shard

EVERY_LOADER = pytest.mark.parametrize("loader", MODELS)


def load(loader, folder, **options):
    return getattr(huggingface, loader)(folder, **options)


def same(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first)


@EVERY_LOADER
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_written_comes_back_bit_by_bit(tmp_path, loader, dtype):
    before = random_model(loader).to(dtype)
    huggingface.save(before, tmp_path / "model")
    after = load(loader, tmp_path / "model")
    assert same(before, after)
    assert type(after) is type(before)
    assert not after.training
    assert repr(after) == repr(before)
    assert getattr(after, "encoder", after).config == CONFIG
    assert getattr(after, "separator_id", None) == getattr(before, "separator_id", None)
    written = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert written == ["config.json", "model.safetensors"]
    assert len({path.stat().st_mode for path in (tmp_path / "model").iterdir()}) == 1


@EVERY_LOADER
def test_a_folder_read_and_written_is_the_same_folder(tmp_path, loader):
    first = hub_folder(tmp_path / "first", loader)
    change_config(first, pad_token_id=5, attention_probs_dropout_prob=0.3, hidden_act="gelu_pytorch_tanh")
    if loader == "load_sequence_classifier":
        change_config(first, id2label={"0": "no", "1": "perhaps", "2": "yes"})
    if loader in ("load_masked_lm", "load_sequence_classifier", "load_token_classifier"):
        change_weights(first, add_pooler)
    huggingface.save(load(loader, first), tmp_path / "second", like=first)
    assert json.loads((first / "config.json").read_text()) == json.loads((tmp_path / "second/config.json").read_text())
    one, other = load_file(first / "model.safetensors"), load_file(tmp_path / "second/model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def add_pooler(weights):
    weights.update({"bert.pooler.weight": torch.randn(16, 16), "bert.pooler.bias": torch.randn(16)})


def test_labels_are_counted_anew_when_there_are_others(tmp_path):
    first = hub_folder(tmp_path / "first", "load_sequence_classifier")
    changed = MODELS["load_token_classifier"](CONFIG)
    huggingface.save(changed, tmp_path / "second", like=first)
    assert huggingface.load_token_classifier(tmp_path / "second").classifier.out_features == 5


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_an_encoder_is_read_with_and_without_prefix_and_pooler(tmp_path, prefix):
    folder = hub_folder(tmp_path / "model", "load_encoder")
    weights = load_file(folder / "model.safetensors")
    weights |= {"pooler.weight": torch.randn(16, 16), "embeddings.position_ids": torch.arange(512)[None]}
    save_file({f"{prefix}{name}": value for name, value in weights.items()}, folder / "model.safetensors")
    assert same(huggingface.load_encoder(folder), random_model("load_encoder"))


@EVERY_LOADER
def test_any_head_s_folder_gives_its_encoder(tmp_path, loader):
    model = random_model(loader)
    huggingface.save(model, tmp_path / "model")
    assert same(huggingface.load_encoder(tmp_path / "model"), getattr(model, "encoder", model))


def test_a_masked_lm_comes_out_of_a_pretraining_folder(tmp_path):
    folder = hub_folder(tmp_path / "model", "load_pretraining")
    expected = random_model("load_pretraining").language_model
    assert same(huggingface.load_masked_lm(folder), expected)


WORDS = "bert.embeddings.word_embeddings.weight"
COPY = "cls.predictions.decoder.weight"


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.update({COPY: w[WORDS].clone(), "cls.predictions.decoder.bias": w["cls.predictions.bias"].clone()}),
        lambda w: w.update({COPY: w.pop(WORDS)}),
        lambda w: w.update({"cls.predictions.decoder.bias": w.pop("cls.predictions.bias")}),
    ],
    ids=["stored twice", "as the copy alone", "bias as the copy alone"],
)
def test_tied_weights_are_read_however_they_are_stored_and_written_once(tmp_path, change):
    folder = hub_folder(tmp_path / "model")
    change_weights(folder, change)
    model = huggingface.load_masked_lm(folder)
    assert same(model, random_model("load_masked_lm"))
    huggingface.save(model, tmp_path / "again")
    assert not [name for name in load_file(tmp_path / "again/model.safetensors") if "decoder" in name]


def test_a_shard_of_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="max_shard_bytes must be at least 1, got 0"):
        huggingface.save(random_model("load_encoder"), tmp_path / "new", max_shard_bytes=0)
    assert not (tmp_path / "new").exists()


def test_shards_are_read(tmp_path):
    folder = hub_folder(tmp_path / "model")
    shard(folder)
    assert same(huggingface.load_masked_lm(folder), random_model("load_masked_lm"))


def test_the_hub_s_cache_of_links_is_read(tmp_path):
    real = hub_folder(tmp_path / "real")
    snapshot = tmp_path / "models--a--b/snapshots/0123"
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in real.iterdir():
        blob = snapshot.parents[1] / "blobs" / path.name[::-1]
        path.rename(blob)
        (snapshot / path.name).symlink_to(f"../../blobs/{blob.name}")
    assert same(huggingface.load_masked_lm(snapshot), random_model("load_masked_lm"))


@pytest.mark.parametrize("graph", ["checkpoint", "transformers-train", "transformers-eval"])
def test_the_graph_is_the_caller_s(tmp_path, graph):
    folder = hub_folder(tmp_path / "model")
    assert huggingface.load_encoder(folder, graph).config == replace(
        CONFIG, pattern=PatternSpec(block_size=16, graph=graph)
    )


def test_full_attention_is_a_pattern(tmp_path):
    folder = hub_folder(tmp_path / "model")
    change_config(folder, attention_type="original_full")
    model = huggingface.load_masked_lm(folder)
    pattern = model.encoder.config.pattern.build(num_blocks=32, num_heads=2)
    assert bool((pattern.counts() == 1).all())
    huggingface.save(model, tmp_path / "again", like=folder)
    assert json.loads((tmp_path / "again/config.json").read_text())["attention_type"] == "original_full"
    assert huggingface.load_masked_lm(tmp_path / "again").encoder.config == model.encoder.config


def test_transformers_is_never_imported(tmp_path):
    folder = hub_folder(tmp_path / "model")
    code = (
        "import sys\nsys.modules['transformers'] = None\n"
        f"from bigbird.interop.huggingface import load_masked_lm, save\nmodel = load_masked_lm({str(folder)!r})\n"
        f"save(model, {str(tmp_path / 'again')!r})"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_older_folder_is_never_replaced(tmp_path):
    folder = hub_folder(tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"model exists already; give a new folder"):
        huggingface.save(random_model("load_encoder"), folder)
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "pre"}, r"norm is 'pre'; transformers' BigBird knows norm 'post' alone"),
        ({"positions": "rotary"}, r"positions is 'rotary'; transformers' BigBird knows positions 'learned' alone"),
        ({"num_token_types": 0}, r"num_token_types is 0; transformers' BigBird needs at least 1"),
        ({"pattern": PatternSpec(global_blocks=4)}, r"Another pattern is another function, so it cannot be written"),
        ({"pattern": PatternSpec(global_at="start")}, r"Another pattern is another function, so it cannot be written"),
        ({"pattern": PatternSpec(graph="checkpoint", window_blocks=5)}, r"this model has PatternSpec\("),
        ({"pattern": PatternSpec(graph="checkpoint", seed=1)}, r"2 global blocks and seed 0; this model has"),
    ],
)
def test_what_transformers_cannot_compute_is_not_written(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        huggingface.save(MODELS["load_encoder"](replace(CONFIG, **change)), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_model_without_counterpart_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match=r"no BigBird like SequenceClassifier; it can have Encoder, MaskedLanguage"):
        huggingface.save(SequenceClassifier(CONFIG, num_labels=2), tmp_path / "model")


def test_weights_of_two_types_are_not_written(tmp_path):
    model = random_model("load_masked_lm")
    model.norm.double()
    with pytest.raises(ConfigError, match=r"weights are float32, float64; bring them into one type"):
        huggingface.save(model, tmp_path / "model")


def test_like_must_be_as_wide_as_the_model(tmp_path):
    folder = hub_folder(tmp_path / "model")
    change_weights(folder, add_pooler)
    model = MODELS["load_masked_lm"](replace(CONFIG, hidden_size=32))
    with pytest.raises(ConfigError, match=r"model has hidden_size 16, the model 32; `like` must be as the model, for"):
        huggingface.save(model, tmp_path / "again", like=folder)


@torch.no_grad()
@EVERY_LOADER
def test_a_head_s_answer_does_not_depend_on_the_neighbours(loader):
    if loader == "load_encoder":
        return
    model, lengths = random_model(loader), (40, 300, 1, 177)
    documents = [torch.randint(0, 90, (length,), generator=torch.Generator().manual_seed(length)) for length in lengths]
    layout = DocumentLayout(lengths, block_size=16)
    types = torch.cat([document % 2 for document in documents])
    together = model(layout.pack(torch.cat(documents)), layout, token_types=layout.pack(types))
    for row, document in enumerate(documents):
        alone = DocumentLayout((len(document),), block_size=16)
        single = model(alone.pack(document), alone, token_types=alone.pack(document % 2))
        for one, all_ in zip(parts(single), parts(together), strict=True):
            if len(all_) == len(lengths):
                assert torch.equal(one[0], all_[row])
            else:
                start = layout.starts[row]
                assert torch.equal(one[: len(document)], all_[start : start + len(document)])


def parts(output):
    return output if isinstance(output, tuple) else (output,)


@torch.no_grad()
def test_tokens_are_guessed_at_the_places_asked_for():
    model, layout = random_model("load_pretraining"), DocumentLayout((40,), block_size=16)
    token_ids = layout.pack(torch.arange(40))
    some = model(token_ids, layout, places=torch.tensor([3, 30])).tokens
    torch.testing.assert_close(some, model(token_ids, layout).tokens[[3, 30]])


@torch.no_grad()
def test_an_answer_never_stands_in_the_question():
    model, layout = random_model("load_question_answering"), DocumentLayout((10, 5), block_size=16)
    token_ids = layout.pack(torch.tensor([1, 20, 17, 30, 31, 32, 33, 17, 35, 17, 1, 2, 3, 4, 5]))
    logits = model(token_ids, layout)
    is_open = layout.unpack(torch.isfinite(logits).all(1))
    # The second document has no separator: its first token alone is the question.
    assert is_open.tolist() == [True, False, False, *[True] * 7, *[True] * 5]
    assert bool((layout.unpack(logits)[1:3] == -torch.inf).all())
    types = layout.pack(torch.tensor([0, 0, 0, *[1] * 7, 0, *[1] * 4]))
    assert torch.equal(layout.unpack(model(token_ids, layout, token_types=types)), layout.unpack(logits))
