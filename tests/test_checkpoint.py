import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bigbird.checkpoint import finish_saving, load_model, save_model
from bigbird.data.records import Record
from bigbird.errors import CheckpointError, ConfigError
from bigbird.predictor import Predictor
from helpers import MOTIF_TASK, YES_NO, dna, loaded_model
from training_runs import run


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", loaded_model(YES_NO))
    return tmp_path / "model"


def changed_config(folder, change):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("task", [YES_NO, MOTIF_TASK], ids=["classification", "token-classification"])
def test_a_saved_model_comes_back_with_the_same_answers(tmp_path, task):
    before = loaded_model(task)
    save_model(tmp_path / "model", before)
    after = load_model(tmp_path / "model")
    assert (after.task, after.encoder, after.notes) == (before.task, before.encoder, before.notes)
    record = Record(sequence=dna(300, 1))
    (one,), (other,) = (list(Predictor(loaded).predict([record])) for loaded in (before, after))
    assert (one.probabilities == other.probabilities).all()


@pytest.mark.parametrize("stored_as", ["float16", "bfloat16"])
def test_weights_stored_in_half_the_bytes_are_read_as_float32(tmp_path, stored_as):
    loaded = loaded_model(YES_NO)
    save_model(tmp_path / "model", loaded, stored_as=stored_as)
    in_file = load_file(tmp_path / "model" / "model.safetensors")
    back = load_model(tmp_path / "model").model.state_dict()
    for name, tensor in loaded.model.state_dict().items():
        assert in_file[name].dtype == getattr(torch, stored_as)
        assert back[name].dtype == torch.float32
        assert torch.equal(back[name], tensor.to(getattr(torch, stored_as)).float())


def test_weights_stored_in_eight_bits_are_off_by_half_a_step_of_their_row(tmp_path):
    loaded = loaded_model(YES_NO)
    weights = loaded.model.state_dict()
    with torch.no_grad():
        weights["encoder.embeddings.tokens.weight"][5] = 0
        weights["encoder.embeddings.tokens.weight"][6] = 1e-9  # no float16 scale is so small
    save_model(tmp_path / "model", loaded, stored_as="int8")
    in_file = load_file(tmp_path / "model" / "model.safetensors")
    back = load_model(tmp_path / "model").model.state_dict()
    for name, tensor in weights.items():
        assert in_file[name].dtype == (torch.int8 if tensor.ndim == 2 else torch.float16)
        assert back[name].dtype == torch.float32
        step = tensor.abs().amax(-1, keepdim=True) / 127 if tensor.ndim == 2 else tensor.abs() / 2**10
        assert ((back[name] - tensor).abs() <= step * 0.57 + 4e-6).all(), name  # the scale is rounded too
    assert (back["encoder.embeddings.tokens.weight"][5:7] == 0).all()


@pytest.mark.parametrize("damage", ["missing", "short", "float32"])
def test_eight_bits_without_the_right_scales_are_refused(tmp_path, damage):
    save_model(tmp_path / "model", loaded_model(YES_NO), stored_as="int8")
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    scale = weights.pop("pooler.weight.scale")
    if damage != "missing":
        weights["pooler.weight.scale"] = scale[1:].contiguous() if damage == "short" else scale.float()
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"pooler.weight.scale must hold one float16 for each row of pooler"):
        load_model(tmp_path / "model")


def test_a_type_that_weights_are_not_stored_in_is_refused(tmp_path, folder):
    with pytest.raises(ConfigError, match=r"stored_as must be one of float16, bfloat16, int8, or None, got 'int4'"):
        save_model(tmp_path / "model", loaded_model(YES_NO), stored_as="int4")
    config = folder / "config.json"
    for wrong in ("int4", ["float16"], None):
        config.write_text(json.dumps({**json.loads(config.read_text()), "stored_as": wrong}))
        with pytest.raises(CheckpointError, match="stored_as must be one of float16, bfloat16, int8, got"):
            load_model(folder)


@pytest.mark.parametrize(("stored_as", "size"), [("float16", 1e6), ("int8", 1e8)])
def test_weights_too_large_for_their_type_are_refused_and_the_older_model_stays(folder, stored_as, size):
    loaded = load_model(folder)
    with torch.no_grad():
        next(loaded.model.parameters()).fill_(size)
    before = load_model(folder).model.state_dict()
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        save_model(folder, loaded, stored_as=stored_as)
    after = load_model(folder).model.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


def test_the_folder_is_in_the_hub_s_layout_and_replaces_an_older_one(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    save_model(folder, loaded_model(YES_NO, seed=1))
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    expected = loaded_model(YES_NO, seed=1).model.state_dict()["pooler.weight"]
    assert torch.equal(load_file(folder / "model.safetensors")["pooler.weight"], expected)


def test_whoever_may_read_the_config_may_read_the_weights(folder):
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) == 1


def test_a_save_that_fails_leaves_the_older_model_alone(folder, monkeypatch):
    before = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr("bigbird.checkpoint.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(OSError, match="no space"):
        save_model(folder, loaded_model(YES_NO, seed=1))
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((".model.part", "model"), "old"),  # killed while it was writing
        ((".model.part", ".model.old"), "old"),  # … between the two renames
        ((".model.old", "model"), "new"),  # … after them
        (("model",), "new"),
        ((), None),
    ],
)
def test_what_a_killed_save_left_is_tidied_up_and_a_whole_model_stays(tmp_path, there, expected):
    for name in there:
        is_old = name == ".model.old" or (name == "model" and ".model.part" in there)
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text("old" if is_old else "new")
    finish_saving(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if expected else [])
    if expected:
        assert (tmp_path / "model" / "which").read_text() == expected


def test_a_run_that_goes_on_after_a_kill_between_the_renames_has_its_best_model(tmp_path):
    done, _, _ = run(tmp_path)
    (tmp_path / "model").rename(tmp_path / ".model.old")
    best, _, _ = run(tmp_path, resume=True)
    assert best.notes == done.notes


def test_a_name_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere is neither a model folder .* nor one of the models that come"):
        load_model("nowhere")
    with pytest.raises(CheckpointError, match="is neither a model folder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(extra=1), r"must hold the objects format, task and encoder, and nothing unknown"),
        (lambda c: c.pop("task"), r"must hold the objects format, task and encoder"),
        (lambda c: c.update(format=2), r"has format 2, this bigbird reads 1\. Install a newer bigbird"),
        (
            lambda c: c["task"].update(name="other"),
            r"task.name must be one of bin-classification, choice-qa, classification, long-short-qa, masked-lm, ",
        ),
        (lambda c: c["encoder"].update(vocab_size=17), r"the tokenizer knows \d+ tokens, the model 17; they do not"),
        (lambda c: c["encoder"].update(bases_per_token=8), r"8 bases_per_token make a vocab_size of 16777216"),
        (lambda c: c["encoder"].update(num_layer=3), r"encoder|no setting 'num_layer'. Did you mean 'num_layers'\?"),
        (lambda c: c["encoder"].update(num_layers="two"), r"num_layers got 'two'"),
        (lambda c: c["encoder"].update(num_layers=20_000), r"has \d+ tensors, too few for 20000 layers"),
        (
            lambda c: c["encoder"].update(num_layers=1),
            r"does not fit its config.json: encoder.layers.1.* which is unknown",
        ),
        (lambda c: c["encoder"].update(inner_size=64), r"inner.bias is \[32\], expected \[64\]"),
        (lambda c: c.update(task=5), r"config.json: task must hold named values, got 5"),
        (lambda c: c.update(task="abc"), r"config.json: task must hold named values, got 'abc'"),
        (
            lambda c: c.update(task={"name": []}),
            r"config.json: task.name must be one of bin-classification, .*, got \[\]",
        ),
        (lambda c: c["task"].update(labels=5), r"config.json: labels got 5"),
        (lambda c: c.update(encoder=3), r"config.json: encoder must hold named values, got 3"),
        (lambda c: c.update(notes=5), r"config.json: notes must hold named values, got 5"),
        (
            lambda c: c["encoder"].update(hidden_size=10**10),
            r"config.json describes no possible model: Storage size calculation overflowed",
        ),
        (lambda c: c["encoder"].update(inner_size=10**30), r"config.json describes no possible model: "),
        (lambda c: c["encoder"]["pattern"].update(block_size=10**12), r"block_size must be at most 4096, got 10{12}"),
        (lambda c: c["encoder"].update(bases_per_token=10**9), r"bases_per_token must be 0 .* from 8 to 20, got 10{9}"),
        (
            lambda c: c["encoder"]["pattern"].update(block_sise=32),
            r"no setting 'block_sise'\. Did you mean 'block_size'\?",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, change, message):
    changed_config(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "9" * 5_000, "\ufffe"], ids=lambda text: text[:5])
def test_a_damaged_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config.json (cannot be read|must hold)"):
        load_model(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, r"tokenizer.json is not a readable tokenizer file: maximum recursion depth exceeded"),
        ('{"kind": "bigbird-kmers", "bases_per_token": "16"}', r"tokenizer.json: bases_per_token .* 8 to 20, got '16'"),
    ],
    ids=["deep", "text for a number"],
)
def test_a_damaged_tokenizer_file_is_refused_by_name(folder, text, message):
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def weights_with(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("pooler.bias"), r"pooler.bias is missing, expected \[16\]"),
        (lambda w: w.update(extra=torch.zeros(2)), r"extra is \[2\], which is unknown"),
        (
            lambda w: w["pooler.bias"].fill_(np.nan),
            r"the tensor pooler.bias holds NaN or infinity; the file is damaged",
        ),
        (
            lambda w: w.update({name: tensor.long() for name, tensor in w.items()}),
            r"the tensor \S+ is int64; weights must be float32, float64, bfloat16, float16",
        ),
        (
            lambda w: w.update({"pooler.bias": w["pooler.bias"].double()}),
            r"the tensor pooler.bias is float64, others are float32; all must be of one type",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    weights_with(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"\x80\x04K*." + b, lambda b: b[: len(b) // 2]]
)
def test_a_damaged_weights_file_is_refused_and_never_unpickled(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be read"):
        load_model(folder)


@pytest.mark.parametrize("device", ["foo", "", "cuda:99", "meta", 5.0])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(folder, device):
    with pytest.raises(
        ConfigError, match=rf"device '{device}' cannot be used here; this machine has cpu.* A GPU needs"
    ):
        load_model(folder, device=device)
