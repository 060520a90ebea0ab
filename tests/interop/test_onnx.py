"""ONNX files and exported programs give our answers, for batches and lengths that no export has seen."""

import dataclasses
import json
import sys
from pathlib import Path

import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from torch import nn

from bigbird import load_model
from bigbird.attention import PatternSpec
from bigbird.errors import CheckpointError, ConfigError, MissingDependency, WrongAnswer
from bigbird.interop import onnx as exporting
from bigbird.interop.export_blocks import SeenBlocks
from bigbird.interop.export_check import answers, check_answers
from bigbird.interop.export_module import PaddedModel
from bigbird.interop.onnx import export_folder, export_onnx, export_program
from bigbird.model import linear
from bigbird.model.encoder import Encoder
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader
from hub_folders import CONFIG, change_config, hub_folder

GRAPHS = ("paper", "checkpoint", "transformers-train", "transformers-eval")


def config(graph="paper", *, pattern=None, **changes):
    """One layer; eighteen blocks, of which a document of eight (eleven) or fewer sees all."""
    spec = PatternSpec(block_size=16, graph=graph, **pattern or {})
    return dataclasses.replace(CONFIG, **{"num_layers": 1, "max_length": 288, "pattern": spec} | changes)


MODELS = {
    "encoder": lambda: Encoder(config(positions="rotary", norm="pre", num_token_types=0, num_layers=2)),
    "sequence": lambda: SequenceClassifier(config("checkpoint", positions="rotary"), num_labels=3),
    "tokens": lambda: TokenClassifier(config("transformers-train", norm="pre"), num_labels=4),
    "guesses": lambda: MaskedLanguageModel(config("transformers-eval")),
    "spans": lambda: SpanReader(config("checkpoint"), separator_id=17),
    "first": lambda: FirstTokenClassifier(
        config(pattern={"window_blocks": 2, "global_blocks": 3}, activation="relu"), num_labels=2
    ),
    "choice": lambda: ChoiceScorer(config("checkpoint", pattern={"global_blocks": 0}, activation="gelu")),
    "pretraining": lambda: PretrainingModel(config(pattern={"window_blocks": 32})),  # sees everything
    "bases": lambda: TokenClassifier(
        config(positions="rotary", num_token_types=0, vocab_size=8**8, bases_per_token=8), num_labels=2
    ),
}


def with_random_numbers(build):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = build()
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """name -> the model and the path of its file, made when first asked for."""
    made = {}

    def model_and_file(name):
        if name not in made:
            path = tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
            model = with_random_numbers(MODELS[name])
            export_onnx(model, path, labels=("a", "b"))
            made[name] = model, path
        return made[name]

    return model_and_file


def padded_batch(lengths, width, *, vocab_size=90, seed=0):
    """Documents of these lengths, their tokens anywhere in rows of that width."""
    draw = torch.Generator().manual_seed(seed)
    key_mask = torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in zip(key_mask, lengths, strict=True):
        row[torch.randperm(width, generator=draw)[:length]] = True
    token_ids = torch.randint(1, vocab_size, key_mask.shape, generator=draw)
    return token_ids, key_mask, torch.randint(0, 2, key_mask.shape, generator=draw)


# Lengths of one token, of whole blocks and one token more, of few blocks that see each other, and the longest.
BATCHES = [([1], 1), ([2, 1], 2), ([16, 17, 128, 129, 180], 190), ([200], 230), ([288, 33, 250], 300)]


def run(path, *tensors):
    session = onnxruntime.InferenceSession(path)
    names = [x.name for x in session.get_inputs()]
    found = session.run(None, dict(zip(names, (x.numpy() for x in tensors), strict=False)))
    return [torch.from_numpy(x) for x in found]


def assert_ours(found, model, token_ids, key_mask, token_types):
    with torch.no_grad():
        expected = answers(model, token_ids, key_mask, token_types)
    for theirs, ours in zip(found, expected, strict=True):
        torch.testing.assert_close(theirs[key_mask] if theirs.ndim == 3 else theirs, ours, rtol=1e-5, atol=1e-5)


def types_of(name, token_types):
    return None if name in ("encoder", "spans", "bases") else token_types


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_gives_our_answers_for_any_batch_and_length(name, exported):
    model, path = exported(name)
    for lengths, width in BATCHES:
        vocab_size = model.encoder.config.vocab_size if name != "encoder" else 90
        token_ids, key_mask, types = padded_batch(lengths, width, vocab_size=vocab_size)
        found = run(path, token_ids, key_mask, types)
        assert_ours(found, model, token_ids, key_mask, types_of(name, types))


@pytest.mark.parametrize("graph", ["paper", "checkpoint"])
def test_the_exported_form_knows_global_blocks_at_the_start(graph):
    model = with_random_numbers(lambda: Encoder(config(graph, pattern={"global_blocks": 3, "global_at": "start"})))
    padded = PaddedModel(model, max_length=288)
    token_ids, key_mask, types = padded_batch(list(range(100, 288, 16)), 288)
    with torch.no_grad():
        assert_ours([padded(token_ids, key_mask, types)], model, token_ids, key_mask, types)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"window_blocks": 2, "global_blocks": 3},
        {"global_blocks": 0, "random_blocks": 1},
        {"random_blocks": 0},
        {"window_blocks": 0, "global_blocks": 0, "random_blocks": 2},
        {"window_blocks": 7, "global_blocks": 5, "random_blocks": 1},
    ],
)
def test_the_exported_form_has_the_pattern_of_every_graph(graph, pattern):
    model = with_random_numbers(lambda: Encoder(config(graph, pattern=pattern)))
    padded = PaddedModel(model, max_length=288)
    for lengths, width in [*BATCHES, (list(range(100, 288, 16)), 288)]:
        token_ids, key_mask, types = padded_batch(lengths, width)
        with torch.no_grad():
            assert_ours([padded(token_ids, key_mask, types)], model, token_ids, key_mask, types)


@pytest.mark.parametrize("name", ["encoder", "spans"])
def test_torch_export_gives_our_answers_in_pytorch_s_own_operators(name, monkeypatch):
    model = with_random_numbers(MODELS[name])
    with monkeypatch.context() as patched:
        patched.setattr(linear, "_is_for_onednn", lambda *_: True)  # as on a machine that has our product's operator
        program = export_program(model)
    assert not [x for x in program.graph.nodes if "bigbird" in str(x.target)]
    for lengths, width in BATCHES:
        token_ids, key_mask, types = padded_batch(lengths, width)
        given = types_of(name, types)
        with torch.no_grad():
            found = program.module()(token_ids, key_mask, *([] if given is None else [given]))
        assert_ours([found], model, token_ids, key_mask, given)


def test_masked_places_hold_zeros_and_what_stands_there_changes_nothing(exported):
    _, path = exported("guesses")
    token_ids, key_mask, types = padded_batch([129, 40], 260)
    first = run(path, token_ids, key_mask, types)[0]
    again = run(path, token_ids.where(key_mask, 10**9), key_mask, types.where(key_mask, -7))[0]
    assert torch.equal(first, again)
    assert not first[~key_mask].any()


def test_a_reader_answers_neither_in_padding_nor_in_the_question(exported):
    _, path = exported("spans")
    token_ids, key_mask, _ = padded_batch([129, 40], 260)
    token_ids[:, 100] = 17
    key_mask[:, 100] = True
    found = run(path, token_ids, key_mask)[0]
    assert bool((found[~key_mask] == -torch.inf).all())
    assert bool(found[key_mask].isfinite().any())


def test_a_document_s_answer_does_not_depend_on_its_neighbours_or_padding(exported):
    _, path = exported("first")
    token_ids, key_mask, types = padded_batch([200, 288, 3], 300)
    together = run(path, token_ids, key_mask, types)[0]
    for row, mask in enumerate(key_mask):
        alone = run(path, *(x[row : row + 1, mask] for x in (token_ids, key_mask, types)))[0]
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-5, atol=1e-5)


def test_an_empty_document_gives_zeros_and_no_nan(exported):
    _, path = exported("encoder")
    token_ids, key_mask, _ = padded_batch([0, 150], 150)
    found = run(path, token_ids, key_mask)[0]
    assert not found[0].any()
    assert not found.isnan().any()
    assert not run(path, token_ids, torch.zeros_like(key_mask))[0].any()


def test_a_document_that_is_too_long_is_an_error(exported, capfd):
    _, path = exported("encoder")
    with pytest.raises(
        onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="out of data bounds, idx=289"
    ):
        run(path, torch.ones(1, 289, dtype=torch.int64), torch.ones(1, 289, dtype=torch.bool))
    capfd.readouterr()  # onnxruntime says it on stderr too


def test_no_tensor_of_length_times_length_is_made():
    model = with_random_numbers(lambda: Encoder(config("checkpoint", max_length=512)))
    padded = PaddedModel(model, max_length=512)
    largest = {}

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, _types, args=(), kwargs=None):
            out = function(*args, **kwargs or {})
            if isinstance(out, torch.Tensor):
                largest[length] = max(largest.get(length, 0), out.numel())
            return out

    for length in (256, 512):
        token_ids, key_mask, types = padded_batch([length], length)
        with torch.no_grad(), Watch():
            padded(token_ids, key_mask, types)
    assert largest[512] <= 2 * largest[256]


@pytest.mark.parametrize(
    ("graph", "rows"), [("paper", 64 * 65 // 2 - 8 * 9 // 2), ("checkpoint", 64), ("transformers-eval", 64)]
)
def test_tables_of_random_blocks_are_shared_by_the_lengths_that_draw_alike(graph, rows):
    spec = PatternSpec(graph=graph)
    if graph == "transformers-eval":
        assert spec.num_full_blocks == 11
    table = SeenBlocks(spec, num_heads=2, num_layers=1, max_blocks=64).tables[0]
    lists = 1 if graph == "transformers-eval" else 2
    assert (table.shape, table.dtype) == ((rows, lists * 3), torch.int16)


def test_the_file_says_what_it_holds(exported):
    model, path = exported("sequence")
    file = onnx.load(path)
    values = {x.key: x.value for x in file.metadata_props}
    assert values["bigbird_model"] == "SequenceClassifier"
    assert json.loads(values["bigbird_labels"]) == ["a", "b"]
    assert json.loads(values["bigbird_encoder"])["pattern"]["graph"] == "checkpoint"
    assert values["bigbird_max_length"] == str(model.encoder.config.max_length)
    assert values["bigbird_version"]
    assert {x.domain: x.version for x in file.opset_import}[""] == exporting.OPSET
    sizes = [[x.dim_param or x.dim_value for x in y.type.tensor_type.shape.dim] for y in file.graph.input]
    assert sizes == [["batch", "length"]] * 3
    assert [x.name for x in path.parent.iterdir()] == [path.name]


def test_large_weights_lie_beside_the_file_and_any_number_type_becomes_float32(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(exporting, "_LARGEST_FILE", 0)
    model = with_random_numbers(lambda: Encoder(config("checkpoint", max_length=512))).bfloat16().train()
    export_onnx(model, tmp_path / "large.onnx", max_length=200, token_types=False)
    assert capfd.readouterr() == ("", "")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data"]
    assert model.training
    assert model.embeddings.tokens.weight.dtype == torch.bfloat16
    token_ids, key_mask, _ = padded_batch([200, 30], 200)
    found = run(tmp_path / "large.onnx", token_ids, key_mask)
    assert_ours(found, model.float().eval(), token_ids, key_mask, None)
    (tmp_path / "large.onnx.data").rename(tmp_path / "other.onnx.data")
    with pytest.raises(ConfigError, match=r"other\.onnx\.data exists already\. Remove it, or choose another name"):
        export_onnx(model, tmp_path / "other.onnx")


def test_a_file_that_disagrees_with_the_model_is_not_kept(exported, tmp_path, monkeypatch):
    model, path = exported("encoder")
    other = with_random_numbers(MODELS["encoder"])
    check_answers(other, path, max_length=288)
    with torch.no_grad():
        other.layers[1].attention.qkv.weight[0] += 0.1
    with pytest.raises(WrongAnswer, match=r"onnxruntime and the model disagree by .*; the file is not kept"):
        check_answers(other, path, max_length=288)

    def disagree(*_arguments, **_settings):
        raise WrongAnswer

    monkeypatch.setattr(exporting, "_translated", lambda *_: torch.onnx.ONNXProgram(onnx_ir.load(path), None))
    monkeypatch.setattr(exporting, "check_answers", disagree)
    with pytest.raises(WrongAnswer):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def given_to_export(monkeypatch):
    given = {}
    monkeypatch.setattr(exporting, "export_onnx", lambda model, path, **settings: given.update(settings, model=model))
    return given


def test_a_folder_of_the_hub_is_exported_as_its_class_with_its_labels(tmp_path, given_to_export):
    folder = hub_folder(tmp_path / "hub", "load_sequence_classifier")
    change_config(folder, id2label={"0": "no", "1": "yes", "2": "maybe"}, label2id={"no": 0, "yes": 1, "maybe": 2})
    export_folder(folder, tmp_path / "model.onnx", graph="transformers-eval", token_types=False)
    assert type(given_to_export["model"]) is FirstTokenClassifier
    assert given_to_export["model"].encoder.config.pattern.graph == "transformers-eval"
    assert (given_to_export["labels"], given_to_export["token_types"]) == (("no", "yes", "maybe"), False)
    change_config(folder, architectures=["BigBirdForCausalLM"])
    with pytest.raises(CheckpointError, match=r"architectures is \['BigBirdForCausalLM'\]; one of BigBirdModel"):
        export_folder(folder, tmp_path / "model.onnx")


def test_a_folder_of_ours_is_exported_with_its_labels(tmp_path, given_to_export):
    export_folder("promoter", tmp_path / "model.onnx", max_length=400)
    assert (given_to_export["labels"], given_to_export["max_length"]) == (("promoter+", "promoter-"), 400)
    padded = PaddedModel(given_to_export["model"], max_length=400)
    token_ids, key_mask, _ = padded_batch([400, 129, 1], 400, vocab_size=8**16)
    with torch.no_grad():
        assert_ours([padded(token_ids, key_mask)], load_model("promoter").model, token_ids, key_mask, None)


def test_an_existing_file_and_another_ending_are_refused(tmp_path):
    (tmp_path / "model.onnx").write_text("mine")
    with pytest.raises(ConfigError, match=r"model\.onnx exists already\. Remove it, or choose another name"):
        export_folder("promoter", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "mine"
    with pytest.raises(ConfigError, match=r"an ONNX file's name ends in \.onnx, got .*model\.pt"):
        export_onnx(Encoder(CONFIG), tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (lambda: nn.Linear(2, 2), {}, r"Linear cannot be exported; these can: Encoder, SequenceClassifier"),
        (lambda: Encoder(CONFIG), {"max_length": 513}, r"max_length must be from 1 to the model's own 512, got 513"),
        (lambda: Encoder(CONFIG), {"max_length": 0}, r"max_length must be from 1 to the model's own 512, got 0"),
        (MODELS["encoder"], {"token_types": True}, r"token_types=True, but the model has no token types"),
    ],
)
def test_what_cannot_be_exported_is_refused(model, arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        export_onnx(model(), tmp_path / "model.onnx", **arguments)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_its_cure(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"to ONNX needs {package}, .*pip install 'bigbird\[export\]'"):
        export_onnx(Encoder(CONFIG), Path(tmp_path / "model.onnx"))
