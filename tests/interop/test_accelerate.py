"""`accelerate` mends a transformers BigBird in place and leaves everything else about it as it was."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from bigbird.errors import ConfigError

transformers = pytest.importorskip("transformers")

from bigbird.interop.huggingface import load_encoder  # noqa: E402
from bigbird.interop.transformers import accelerate, restore  # noqa: E402
from huggingface_models import SHORT, SPARSE, LargestTensor, bert, bigbird, pegasus, tokens, twin  # noqa: E402

# PEFT, and older versions, know their gradient checkpointing by the old name alone.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")

MAKERS = pytest.mark.parametrize("make", [bigbird, pegasus])


def encoder_of(model):
    return model.encoder if hasattr(model, "decoder") else model


def encoded(model, given):
    return encoder_of(model)(**given).last_hidden_state


def same(a, b, within=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=within)


@MAKERS
def test_the_model_itself_comes_back_with_its_parameters_and_their_names(make):
    model = make()
    before = dict(model.named_parameters(remove_duplicate=False))
    keys = list(model.state_dict())
    assert accelerate(model) is model
    after = dict(model.named_parameters(remove_duplicate=False))
    assert list(model.state_dict()) == keys and list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


@pytest.mark.parametrize(
    ("make", "kind"), [(bigbird, "BigBirdForMaskedLM"), (pegasus, "BigBirdPegasusForConditionalGeneration")]
)
def test_what_is_saved_is_the_same_bit_by_bit_and_loads_again(make, kind, tmp_path):
    model = make(kind, dtype=torch.float32)
    model.save_pretrained(tmp_path / "theirs")
    accelerate(model).save_pretrained(tmp_path / "ours")
    for path in (tmp_path / "theirs").iterdir():
        assert (tmp_path / "ours" / path.name).read_bytes() == path.read_bytes(), path.name
    again = accelerate(getattr(transformers, kind).from_pretrained(tmp_path / "ours"))
    assert torch.equal(again(**tokens(SPARSE)).logits, model(**tokens(SPARSE)).logits)


@torch.no_grad()
def test_weights_that_we_wrote_keep_the_graph_that_their_config_names(tmp_path):
    bigbird(dtype=torch.float32, bigbird_graph="paper").save_pretrained(tmp_path)
    loaded = transformers.BigBirdModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    found = encoded(accelerate(loaded), tokens(1024))
    same(found, load_encoder(tmp_path)(tokens(1024)["input_ids"]), within=1e-5)
    assert float((found - encoded(accelerate(bigbird(dtype=torch.float32)), tokens(1024))).abs().max()) > 1e-2


@MAKERS
@torch.no_grad()
def test_training_and_evaluation_compute_the_same(make):
    model = accelerate(make())
    assert torch.equal(encoded(model.eval(), tokens(SPARSE)), encoded(model.train(), tokens(SPARSE)))


@MAKERS
@torch.no_grad()
@pytest.mark.parametrize("graph", ["checkpoint", "transformers-train", "transformers-eval"])
def test_a_document_does_not_depend_on_its_padding_or_its_neighbours(make, graph):
    model = accelerate(make(), graph=graph)
    together = encoded(model, tokens(SPARSE - 7, SHORT, 5, padded_to=SPARSE + 33))
    for row, length in enumerate((SPARSE - 7, SHORT, 5)):
        same(together[row, :length], encoded(model, tokens(length))[0])
    assert (together[1, SHORT:] == together[1, SHORT:]).all()  # no NaN behind the mask


@torch.no_grad()
def test_padding_on_the_left_is_as_good_when_positions_are_given():
    model = accelerate(bigbird())
    given = tokens(SPARSE, padded_to=SPARSE + 20)
    positions = (torch.arange(SPARSE + 20)[None] - 20).clamp(min=0)
    rolled = {name: x.roll(20, 1) for name, x in given.items()}
    left = model(**rolled, position_ids=positions).last_hidden_state[:, 20:]
    same(left, model(**tokens(SPARSE)).last_hidden_state)


@MAKERS
@torch.no_grad()
def test_a_batch_on_block_boundaries_equals_its_documents_alone(make):
    model = accelerate(make())
    both = {name: torch.cat((x, x.flip(1))) for name, x in tokens(SPARSE).items()}
    for row in range(2):
        same(encoded(model, both)[row], encoded(model, {name: x[row : row + 1] for name, x in both.items()})[0])


@MAKERS
@torch.no_grad()
def test_no_mask_is_a_mask_of_ones_and_may_stand_in_any_place_of_the_call(make):
    encoder = encoder_of(accelerate(make()))
    given = tokens(SPARSE, SPARSE)
    ids, mask = given["input_ids"], given["attention_mask"]
    expected = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    for found in (encoder(ids), encoder(ids, mask), encoder(ids, attention_mask=mask.bool()), encoder(input_ids=ids)):
        assert torch.equal(found.last_hidden_state, expected)


@MAKERS
@torch.no_grad()
def test_a_call_without_attention_weights_goes_before_a_config_that_wants_them(make):
    given = tokens(SPARSE) | {"output_attentions": False}
    assert torch.equal(
        encoded(accelerate(make(output_attentions=True)), given), encoded(accelerate(make()), tokens(SPARSE))
    )


@torch.no_grad()
def test_vectors_in_place_of_ids_need_no_mask_either():
    model = accelerate(bigbird())
    ids = tokens(SPARSE)["input_ids"]
    vectors = model.embeddings.word_embeddings(ids)
    same(model(inputs_embeds=vectors).last_hidden_state, model(input_ids=ids).last_hidden_state)


@MAKERS
@torch.no_grad()
def test_a_short_document_changes_nothing_for_the_next_long_one(make):
    model = accelerate(make())
    first = encoded(model, tokens(SPARSE))
    encoded(model, tokens(SHORT))
    assert torch.equal(encoded(model, tokens(SPARSE)), first)


@MAKERS
def test_numpy_s_global_generator_stays_where_it_is(make):
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    encoded(accelerate(make()).train(), tokens(1024))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@MAKERS
@torch.no_grad()
@pytest.mark.parametrize("padding", ["document", "batch"])
@pytest.mark.parametrize("length", [1500, SHORT])
def test_nothing_of_length_times_length_is_allocated(make, padding, length):
    model = accelerate(make(dtype=torch.float32), padding=padding)
    given = tokens(length, length - 10)
    encoded(model, given)  # builds the pattern
    with LargestTensor() as seen:
        encoded(model, given)
    assert seen.numel <= 2 * (length + 16) * 64  # what the feed-forward layers hold


@MAKERS
@torch.no_grad()
def test_a_second_call_changes_the_settings(make):
    model = accelerate(make(), graph="transformers-eval", padding="batch")
    assert encoder_of(accelerate(model, graph="checkpoint")) is encoder_of(model)
    assert torch.equal(encoded(model, tokens(SPARSE, 200)), encoded(accelerate(make()), tokens(SPARSE, 200)))


@MAKERS
@torch.no_grad()
def test_restore_takes_everything_back(make):
    theirs = make()
    ours = restore(accelerate(accelerate(twin(theirs))))
    assert torch.equal(encoded(ours, tokens(SPARSE)), encoded(theirs, tokens(SPARSE)))
    assert [type(module) for module in ours.modules()] == [type(module) for module in theirs.modules()]
    assert [encoder_of(x).attention_type for x in (ours, theirs)] == ["block_sparse"] * 2
    encoder_of(ours).set_attention_type("original_full")
    assert restore(ours) is ours  # nothing left to take back


def test_an_encoder_beside_a_decoder_that_cannot_be_accelerated_is_restored_with_the_whole():
    decoder = bigbird("BigBirdForCausalLM", is_decoder=True, add_cross_attention=True, attention_type="original_full")
    model = transformers.EncoderDecoderModel(encoder=bigbird(), decoder=decoder)
    accelerate(model.encoder)
    assert restore(model).encoder.attention_type == "block_sparse"
    assert restore(model) is model


@MAKERS
@torch.no_grad()
def test_a_model_that_a_short_document_has_switched_is_sparse_again(make):
    model = make()
    encoded(model, tokens(SHORT))
    assert torch.equal(encoded(accelerate(model), tokens(SPARSE)), encoded(accelerate(make()), tokens(SPARSE)))


@MAKERS
@torch.no_grad()
def test_a_copy_is_accelerated_too(make):
    model = accelerate(make())
    other = copy.deepcopy(model)
    assert torch.equal(encoded(other, tokens(SPARSE)), encoded(model, tokens(SPARSE)))
    restore(other)
    assert torch.equal(encoded(model, tokens(SPARSE)), encoded(accelerate(make()), tokens(SPARSE)))


@MAKERS
@torch.no_grad()
def test_other_models_made_from_the_same_config_stay_as_they_are(make):
    model = make()
    other = type(model)(model.config).double().eval()
    before = encoded(other, tokens(SPARSE))
    accelerate(model)
    assert torch.equal(encoded(other, tokens(SPARSE)), before)


def gradients(model, given, labels):
    model.zero_grad()
    model(**given, labels=labels).loss.backward()
    return {name: x.grad.clone() for name, x in model.named_parameters() if x.grad is not None}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_gives_the_same_gradients(use_reentrant):
    model = accelerate(bigbird("BigBirdForMaskedLM")).train()
    given = tokens(SPARSE, SPARSE - 50)
    plain = gradients(model, given, given["input_ids"])
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    found = gradients(model, given, given["input_ids"])
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        same(found[name], gradient)


def rows(count):
    given = tokens(*range(SPARSE, SPARSE + count))
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": index % 2}
        for index, (ids, mask) in enumerate(zip(*given.values(), strict=True))
    ]


def train_one_step(model, folder):
    pytest.importorskip("accelerate")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=1, per_device_train_batch_size=2, use_cpu=True, disable_tqdm=True, seed=0
    )
    return transformers.Trainer(model=model, args=arguments, train_dataset=rows(2)).train()


def test_the_trainer_trains_it_as_a_loop_does(tmp_path):
    model = accelerate(bigbird("BigBirdForSequenceClassification", dtype=torch.float32))
    before = twin(model).state_dict()
    assert train_one_step(model, tmp_path).global_step == 1
    changed = {name for name, x in model.state_dict().items() if not torch.equal(x, before[name])}
    assert "bert.encoder.layer.0.attention.self.query.weight" in changed


@pytest.mark.parametrize("peft_comes_first", [True, False])
def test_lora_on_query_key_and_value_trains(tmp_path, peft_comes_first):
    peft = pytest.importorskip("peft")
    model = bigbird("BigBirdForSequenceClassification", dtype=torch.float32)
    config = peft.LoraConfig(r=2, target_modules=["query", "key", "value"], task_type="SEQ_CLS")
    if peft_comes_first:
        model = accelerate(peft.get_peft_model(model, config))
    else:
        model = peft.get_peft_model(accelerate(model), config)
    before = {name: x.detach().clone() for name, x in model.named_parameters()}
    train_one_step(model, tmp_path)
    changed = {name for name, x in model.named_parameters() if not torch.equal(x, before[name])}
    trained = {name for name, x in model.named_parameters() if x.requires_grad}
    assert changed <= trained and sum("lora_B" in name for name in changed) == 6


class Holder(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.head = inner, torch.nn.Linear(32, 2)


def test_a_bigbird_inside_another_module_is_found_and_the_rest_left_alone():
    model = accelerate(Holder(bigbird()))
    assert type(model.inner.encoder.layer[0].attention.self).__name__ == "SparseSelfAttention"
    assert type(model.head) is torch.nn.Linear


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accelerate(bert()), "has no BigBird or BigBird-Pegasus encoder"),
        (lambda: accelerate(pegasus("BigBirdPegasusForCausalLM")), "has no BigBird or BigBird-Pegasus encoder"),
        (lambda: accelerate(bigbird("BigBirdForCausalLM", is_decoder=True)), "sees the future"),
        (lambda: accelerate(bigbird(attention_type="original_full")), "no sparse attention to replace"),
        (lambda: accelerate(bigbird(), graph="paper"), "graph must be one of checkpoint, transformers-train"),
        (lambda: accelerate(bigbird(), padding="none"), "padding must be one of document, batch, got 'none'"),
        (
            lambda: accelerate(bigbird(max_position_embeddings=2048), graph="transformers-train"),
            "known for max_position_embeddings 4096 alone",
        ),
        (lambda: accelerate(bigbird())(**tokens(9), output_attentions=True), "output_attentions is not available"),
        (lambda: accelerate(bigbird(output_attentions=True))(**tokens(9)), "output_attentions is not available"),
        (lambda: accelerate(bigbird())(torch.ones(1, 9).long(), torch.ones(1, 9, 9)), "attention_mask must be [batch"),
        (lambda: accelerate(bigbird())(torch.ones(1, 9).long(), torch.ones(1, 8)), "attention_mask must be [batch"),
        (
            lambda: accelerate(bigbird())(torch.ones(1, 9).long(), torch.tensor([[0.0] * 5 + [-torch.inf] * 4])),
            "must hold 1 for a real token and 0 for padding, got -inf",
        ),
        (
            lambda: accelerate(bigbird(bigbird_graph="pape")),
            "graph must be one of",
        ),
        (lambda: accelerate(bigbird()).set_attention_type("original_full"), "the model is accelerated"),
        (
            lambda: accelerate(bigbird())(**tokens(9), encoder_hidden_states=torch.ones(1, 9, 32).double()),
            "takes no encoder_hidden_states",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(call, message):
    with pytest.raises((ConfigError, ValueError)) as error:
        call()
    assert message in str(error.value)


def test_a_refusal_leaves_the_model_as_it_was():
    model = bigbird()
    with pytest.raises(ConfigError):
        accelerate(model, graph="paper")
    assert type(model.encoder.layer[0].attention.self).__name__ == "BigBirdBlockSparseAttention"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sys.modules['transformers'] = None", "is not installed. Run: pip install 'bigbird[hf]'"),
        ("import transformers; transformers.__version__ = '4.57.1'", "of at least 5.7 and below 6, found 4.57.1"),
    ],
)
@pytest.mark.parametrize("module", ["transformers", "transformers_models", "transformers_pipelines"])
def test_a_missing_or_old_transformers_is_one_clear_error(module, given, message):
    code = f"import sys\n{given}\nimport bigbird.interop.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingDependency" in done.stderr and message in done.stderr.splitlines()[-1]


@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("padding", ["document", "batch"])
def test_torch_compile_takes_it(padding):
    torch.compiler.reset()
    model = accelerate(bigbird(dtype=torch.float32), padding=padding)
    compiled = torch.compile(model, backend="eager")
    weight = model.encoder.layer[0].attention.self.query.weight
    for given in (tokens(SPARSE + 1), tokens(SPARSE, SHORT), tokens(SPARSE, SHORT + 20)):
        found, expected = (x(**given).last_hidden_state for x in (compiled, model))
        same(found, expected, within=1e-5)
        same(*(torch.autograd.grad(x.pow(2).sum(), weight)[0] for x in (found, expected)), within=1e-3)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
def test_torch_compile_takes_what_pytorch_itself_computes():
    torch.compiler.reset()
    model = accelerate(bigbird())  # our kernels take no float64
    same(torch.compile(model, backend="eager")(**tokens(210)).last_hidden_state, encoded(model, tokens(210)))
