"""Models read from Hugging Face's folders compute what transformers 5.23 computes with the same weights.

Theirs switches to full attention for good after one short document, so every comparison takes a fresh model.
"""

import json
import os

import pytest
import torch
from safetensors.torch import load_file

from bigbird.attention import DocumentLayout
from bigbird.interop import huggingface
from bigbird.interop.huggingface_bigbird import BIG_BIRD
from bigbird.interop.huggingface_names import to_ours
from hub_folders import CONFIG, MODELS, change_config, hub_folder, random_model

transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 90,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "block_size": 16,
}
BASE = {"vocab_size": 200, "num_hidden_layers": 2}  # the published width: 768, 12 heads, blocks of 64
HEADS = [loader for loader in MODELS if loader != "load_encoder"]
GRAPHS = ["transformers-train", "transformers-eval"]
ERROR = {torch.float32: 1e-5, torch.float64: 1e-10}
EVERY_DTYPE = pytest.mark.parametrize("dtype", ERROR, ids=str)

KIND = {kind.loader: kind for kind in BIG_BIRD.kinds}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Makes their model with random numbers in every tensor, once, and gives its folder."""
    made = {}

    def make(loader, **values):
        key = (loader, json.dumps(values, sort_keys=True))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(loader)
            their_random_model(loader, values or SMALL).save_pretrained(made[key])
        return made[key]

    return make


def their_random_model(loader, values):
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = transformers.BigBirdConfig(**values, **no_dropout, num_labels=3)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, KIND[loader].architecture)(config)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if config.hidden_size < 100 else 0.02))
    return model


def both(folder, loader, dtype=torch.float64, *, is_training=False, graph=None):
    """Theirs and ours."""
    architecture = getattr(transformers, KIND[loader].architecture)
    theirs = architecture.from_pretrained(folder, dtype=dtype).train(is_training)
    ours = getattr(huggingface, loader)(folder, graph or f"transformers-{'train' if is_training else 'eval'}")
    return theirs, ours.to(dtype)


def document(length, vocab_size=90):
    """Token 0 is left out: theirs gives it no gradient as an input."""
    return torch.randint(1, vocab_size, (length,), generator=torch.Generator().manual_seed(length))


def types_of(token_ids, loader):
    """Both types; readers of questions find them themselves."""
    return None if loader == "load_question_answering" else token_ids % 2


def their_answers(model, loader, token_ids):
    """Tensors [length or documents, any] of one document."""
    types = types_of(token_ids, loader)
    dims = (None, None) if loader == "load_multiple_choice" else (None,)
    given = {"input_ids": token_ids[dims], "token_type_ids": None if types is None else types[dims]}
    out = model(**given)
    if loader == "load_encoder":
        return [out.last_hidden_state[0]]
    if loader == "load_question_answering":
        return [torch.stack((out.start_logits[0], out.end_logits[0]), 1)]
    if loader == "load_pretraining":
        return [out.prediction_logits[0], out.seq_relationship_logits]
    return [out.logits[0] if loader in ("load_masked_lm", "load_token_classifier") else out.logits]


def our_answers(model, loader, token_ids):
    layout = DocumentLayout((len(token_ids),), getattr(model, "encoder", model).config.pattern.block_size)
    types = types_of(token_ids, loader)
    packed = None if types is None else layout.pack(types)
    if loader == "load_encoder":
        return [layout.unpack(model(layout.pack(token_ids), layout=layout, token_types=packed))]
    out = model(layout.pack(token_ids), layout, token_types=packed)
    if loader == "load_multiple_choice":
        return [out[None]]
    if loader == "load_sequence_classifier":
        return [out]
    if loader == "load_pretraining":
        return [layout.unpack(out.tokens), out.order]
    return [layout.unpack(out)]


def compare(theirs, ours, loader, token_ids, *, within):
    expected, found = their_answers(theirs, loader, token_ids), our_answers(ours, loader, token_ids)
    for one, other in zip(expected, found, strict=True):
        is_open = torch.isfinite(other)
        assert is_open.any()
        # Theirs puts a million below what a question's tokens would score, ours selects.
        assert bool((one[~is_open] < -0.9e6).all())
        torch.testing.assert_close(other[is_open], one[is_open], rtol=within, atol=within)


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("length", [100, 512, 777, 1024, 1025, 2048, 3001, 4096])
def test_the_encoder_equals_theirs(folder_of, graph, length, dtype):
    theirs, ours = both(folder_of("load_encoder"), "load_encoder", dtype, is_training=graph == GRAPHS[0])
    compare(theirs, ours, "load_encoder", document(length), within=ERROR[dtype])


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("length", [1024, 3072, 4096])
def test_the_checkpoint_graph_equals_their_training_at_the_published_lengths(folder_of, length, dtype):
    theirs, ours = both(folder_of("load_encoder"), "load_encoder", dtype, is_training=True, graph="checkpoint")
    compare(theirs, ours, "load_encoder", document(length), within=ERROR[dtype])


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("loader", HEADS)
@pytest.mark.parametrize("length", [90, 513, 1500])
def test_every_head_equals_theirs(folder_of, loader, graph, length, dtype):
    theirs, ours = both(folder_of(loader), loader, dtype, is_training=graph == GRAPHS[0])
    compare(theirs, ours, loader, document(length), within=ERROR[dtype])


@torch.no_grad()
@pytest.mark.parametrize("loader", HEADS)
def test_every_head_equals_theirs_with_the_checkpoint_graph(folder_of, loader):
    theirs, ours = both(folder_of(loader), loader, is_training=True, graph="checkpoint")
    compare(theirs, ours, loader, document(3072), within=1e-10)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("loader", MODELS)
def test_gradients_equal_theirs(folder_of, loader, graph):
    compare_gradients(folder_of(loader), loader, graph, document(700))


def compare_gradients(folder, loader, graph, token_ids):
    theirs, ours = both(folder, loader, is_training=graph == GRAPHS[0])
    for model, answers in ((theirs, their_answers), (ours, our_answers)):
        loss = 0.0
        for out in answers(model, loader, token_ids):
            weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype)
            loss = loss + (weights * out)[out > -0.9e6].sum()
        loss.backward()
    gradients = {BIG_BIRD.names.with_base(name): parameter.grad for name, parameter in theirs.named_parameters()}
    expected = to_ours(gradients, KIND[loader].pairs(BIG_BIRD.names, getattr(ours, "encoder", ours).config))
    for name, parameter in ours.named_parameters():
        largest = float(expected[name].abs().max())
        torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-9 * max(largest, 1.0), msg=name)


@torch.no_grad()
@pytest.mark.parametrize(
    ("length", "is_training", "graph"),
    [(1024, False, "transformers-eval"), (2048, True, "transformers-train"), (4096, True, "checkpoint")],
)
def test_at_the_published_width_it_is_equal_too(folder_of, length, is_training, graph):
    folder = folder_of("load_masked_lm", **BASE)
    theirs, ours = both(folder, "load_masked_lm", torch.float32, is_training=is_training, graph=graph)
    compare(theirs, ours, "load_masked_lm", document(length, 200), within=1e-5)


# Every head at the published width takes a quarter of an hour: BIGBIRD_FULL_PARITY=1 pytest tests/parity
AT_FULL_WIDTH = pytest.mark.skipif("BIGBIRD_FULL_PARITY" not in os.environ, reason="BIGBIRD_FULL_PARITY is not set")
GRAPHS_AND_LENGTHS = [
    *((graph, length) for graph in GRAPHS for length in (512, 777, 1024, 1025, 2048, 3001, 3072, 4096)),
    *(("checkpoint", length) for length in (1024, 3072, 4096)),
]


@AT_FULL_WIDTH
@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize(("graph", "length"), GRAPHS_AND_LENGTHS)
@pytest.mark.parametrize("loader", MODELS)
def test_every_model_equals_theirs_at_the_published_width(folder_of, loader, graph, length, dtype):
    is_training = graph != "transformers-eval"
    theirs, ours = both(folder_of(loader, **BASE), loader, dtype, is_training=is_training, graph=graph)
    compare(theirs, ours, loader, document(length, 200), within=ERROR[dtype])


@AT_FULL_WIDTH
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("loader", MODELS)
def test_gradients_equal_theirs_at_the_published_width(folder_of, loader, graph):
    compare_gradients(folder_of(loader, **BASE), loader, graph, document(1025, 200))


@torch.no_grad()
def test_full_attention_equals_theirs(folder_of):
    folder = folder_of("load_encoder", **SMALL, attention_type="original_full")
    for length in (5, 777):
        theirs, ours = both(folder, "load_encoder")
        compare(theirs, ours, "load_encoder", document(length), within=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_pytorch_tanh"])
def test_other_activations_equal_theirs(folder_of, activation):
    folder = folder_of("load_sequence_classifier", **SMALL, hidden_act=activation)
    theirs, ours = both(folder, "load_sequence_classifier")
    compare(theirs, ours, "load_sequence_classifier", document(400), within=1e-10)


def padded_errors(folder, lengths, padded_length, *, is_training):
    """Largest difference of each document's vectors in one padded batch."""
    theirs, ours = both(folder, "load_encoder", is_training=is_training)
    token_ids, mask = torch.zeros(len(lengths), padded_length, dtype=torch.int64), torch.zeros(0)
    mask = torch.arange(padded_length)[None] < torch.tensor(lengths)[:, None]
    for row, length in enumerate(lengths):
        token_ids[row, :length] = document(length)
    expected = theirs(input_ids=token_ids, attention_mask=mask.long()).last_hidden_state
    found = ours(token_ids, mask)
    return [float((found[row, :n] - expected[row, :n]).abs().max()) for row, n in enumerate(lengths)]


@torch.no_grad()
@pytest.mark.parametrize("is_training", [True, False])
def test_padded_batches_equal_theirs_where_theirs_does_not_depend_on_padding(folder_of, is_training):
    folder = folder_of("load_encoder")
    # At most 5 + 2r blocks, padding included: full attention there, whole documents here.
    assert max(padded_errors(folder, (3, 70, 176), 176, is_training=is_training)) < 1e-10
    # Sparse, but the padding ends in the block in which the document ends.
    assert max(padded_errors(folder, (1024, 1017, 1009), 1024, is_training=is_training)) < 1e-10
    # Elsewhere its second global block is padding, and the result another.
    assert min(padded_errors(folder, (500, 1000), 1024, is_training=is_training)) > 1e-3


@pytest.mark.parametrize("loader", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_theirs_read_and_written_is_theirs_bit_by_bit(folder_of, tmp_path, loader, dtype):
    architecture = getattr(transformers, KIND[loader].architecture)
    first, second = tmp_path / "first", tmp_path / "second"
    architecture.from_pretrained(folder_of(loader)).to(dtype).save_pretrained(first)
    huggingface.save(getattr(huggingface, loader)(first), second, like=first)
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) and one[name].dtype == dtype for name in one)
    assert json.loads((first / "config.json").read_text()) == json.loads((second / "config.json").read_text())
    again, info = architecture.from_pretrained(second, output_loading_info=True)
    assert not any(info.values())
    assert again.dtype == dtype


@pytest.mark.parametrize("loader", MODELS)
def test_ours_through_theirs_is_ours_bit_by_bit(tmp_path, loader):
    folder = hub_folder(tmp_path / "ours", loader)
    getattr(transformers, KIND[loader].architecture).from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    before, after = random_model(loader), getattr(huggingface, loader)(tmp_path / "theirs")
    assert repr(after) == repr(before)
    assert getattr(after, "encoder", after).config == CONFIG
    first, second = before.state_dict(), after.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_our_shards_are_read_there_and_here(folder_of, tmp_path):
    model = huggingface.load_masked_lm(folder_of("load_masked_lm"))
    huggingface.save(model, tmp_path / "shards", like=folder_of("load_masked_lm"), max_shard_bytes=50_000)
    sizes = [path.stat().st_size for path in (tmp_path / "shards").glob("*.safetensors")]
    assert len(sizes) > 2
    largest = max(tensor.nbytes for tensor in model.state_dict().values())
    assert max(sizes) < max(50_000, largest) + 10_000  # and a header
    again = huggingface.load_masked_lm(tmp_path / "shards").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    theirs = transformers.BigBirdForMaskedLM.from_pretrained(tmp_path / "shards")
    whole = transformers.BigBirdForMaskedLM.from_pretrained(folder_of("load_masked_lm"))
    assert all(torch.equal(theirs.state_dict()[name], tensor) for name, tensor in whole.state_dict().items())


def test_their_shards_are_read(folder_of, tmp_path):
    theirs = transformers.BigBirdForMaskedLM.from_pretrained(folder_of("load_masked_lm"))
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="50KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    whole, sharded = (
        huggingface.load_masked_lm(f).state_dict() for f in (folder_of("load_masked_lm"), tmp_path / "shards")
    )
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_all_their_settings_are_known(tmp_path):
    """Nothing that their own config writes is refused, whatever its value of no effect."""
    folder = hub_folder(tmp_path / "model", "load_sequence_classifier")
    config = transformers.BigBirdConfig.from_pretrained(folder)
    change_config(folder, **config.to_dict() | {"problem_type": "regression", "torch_dtype": "float16"})
    huggingface.load_sequence_classifier(folder)
