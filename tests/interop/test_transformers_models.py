"""Our models as models of transformers: the same function, weights and losses, and its own tools take them."""

import copy
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import get_args

import pytest
import torch
from safetensors import safe_open
from torch import nn

from bigbird import DocumentLayout, EncoderConfig, PatternSpec
from bigbird.errors import ConfigError, ShapeError
from bigbird.model.encoder import Encoder, Positions
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader

transformers = pytest.importorskip("transformers")

from bigbird.interop.transformers_models import (  # noqa: E402
    BigBirdSparseConfig,
    BigBirdSparseForMaskedLM,
    BigBirdSparseForMultipleChoice,
    BigBirdSparseForQuestionAnswering,
    BigBirdSparseForSequenceClassification,
    BigBirdSparseForTokenClassification,
    BigBirdSparseModel,
    from_bigbird,
)
from small_tokenizers import word_tokenizer  # noqa: E402

CONFIG = EncoderConfig(
    vocab_size=50,
    hidden_size=16,
    num_layers=3,
    num_heads=2,
    inner_size=32,
    max_length=96,
    num_token_types=2,
    pattern=PatternSpec(block_size=4, seed=3),
)
SEPARATOR = 7
MODELS = {
    Encoder: (Encoder, "AutoModel", BigBirdSparseModel),
    MaskedLanguageModel: (MaskedLanguageModel, "AutoModelForMaskedLM", BigBirdSparseForMaskedLM),
    SequenceClassifier: (
        lambda config: SequenceClassifier(config, num_labels=3),
        "AutoModelForSequenceClassification",
        BigBirdSparseForSequenceClassification,
    ),
    FirstTokenClassifier: (
        lambda config: FirstTokenClassifier(config, num_labels=3, dropout=0.25),
        "AutoModelForSequenceClassification",
        BigBirdSparseForSequenceClassification,
    ),
    TokenClassifier: (
        lambda config: TokenClassifier(config, num_labels=5, dropout=0.25),
        "AutoModelForTokenClassification",
        BigBirdSparseForTokenClassification,
    ),
    SpanReader: (
        lambda config: SpanReader(config, separator_id=SEPARATOR),
        "AutoModelForQuestionAnswering",
        BigBirdSparseForQuestionAnswering,
    ),
    ChoiceScorer: (ChoiceScorer, "AutoModelForMultipleChoice", BigBirdSparseForMultipleChoice),
}
EVERY_MODEL = pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model_of(kind, config=CONFIG, seed=0):
    """A model of ours with random numbers in every tensor."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[kind][0](config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def wrapped(kind=MaskedLanguageModel, config=CONFIG, **settings):
    return from_bigbird(model_of(kind, config), **settings)


def padded(lengths=(60, 33), length=60, seed=0, *, choices=None):
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), length)
    mask = (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
    batch = {
        "input_ids": torch.randint(8, 50, shape, generator=generator),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, shape, generator=generator),
    }
    batch["input_ids"][:, 5] = SEPARATOR
    return batch if choices is None else {name: x.view(-1, choices, length) for name, x in batch.items()}


def batch_for(kind):
    return padded(choices=2) if kind is ChoiceScorer else padded()


def numbers(output):
    """All tensors of an output, but no loss."""
    return [value for name, value in output.items() if name != "loss" and isinstance(value, torch.Tensor)]


def saved(model, folder):
    model.save_pretrained(folder)
    return folder


def auto(kind, folder, **options):
    return getattr(transformers, MODELS[kind][1]).from_pretrained(folder, **options)


@EVERY_MODEL
def test_a_wrapper_gives_what_our_model_gives_and_nothing_else_in_padding(kind):
    model, batch = model_of(kind), batch_for(kind)
    ids, mask, types = (x.flatten(0, -2) for x in batch.values())
    mask = mask.bool()
    layout = DocumentLayout.from_mask(mask, block_size=4)
    expected = model(layout.pack(ids[mask]), layout=layout, token_types=layout.pack(types[mask]))
    out = numbers(from_bigbird(model)(**batch))
    if kind in (SequenceClassifier, FirstTokenClassifier, ChoiceScorer):
        assert torch.equal(out[0].flatten(), expected.flatten())
        return
    given = torch.stack(out, -1) if kind is SpanReader else out[0]
    assert torch.equal(given[mask], layout.unpack(expected))
    assert (given[~mask] == (-torch.inf if kind is SpanReader else 0)).all()


@EVERY_MODEL
def test_a_wrapper_holds_the_very_model(kind):
    model = model_of(kind)
    wrapper = from_bigbird(model)
    assert type(wrapper) is MODELS[kind][2]
    assert wrapper.bigbird is model
    assert wrapper.base_model is getattr(model, "encoder", model)
    assert {id(p) for p in wrapper.parameters()} == {id(p) for p in model.parameters()}
    assert not wrapper.training
    assert from_bigbird(model.train()).training


@EVERY_MODEL
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_is_saved_comes_back_bit_by_bit_through_its_auto_class(tmp_path, kind, dtype):
    before = from_bigbird(model_of(kind).to(dtype))
    after = auto(kind, saved(before, tmp_path))
    assert type(after) is MODELS[kind][2]
    assert type(after.bigbird) is kind
    first, second = before.state_dict(), after.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) and second[name].dtype == dtype for name in first)
    assert after.base_model.config == CONFIG
    assert repr(after.bigbird) == repr(before.bigbird)
    for one, other in zip(numbers(before(**batch_for(kind))), numbers(after(**batch_for(kind))), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("positions", get_args(Positions))
@pytest.mark.parametrize(
    "changes",
    [{}, {"norm": "pre", "scale_embeddings": True, "embedding_norm": False, "attention_bias": False}],
    ids=["bert", "pegasus"],
)
def test_every_kind_of_encoder_answers_alike_after_loading_on_no_memory_first(tmp_path, positions, changes):
    config = replace(CONFIG, positions=positions, num_token_types=0, **changes)
    before = wrapped(config=config)
    after = auto(MaskedLanguageModel, saved(before, tmp_path))
    batch = padded()
    del batch["token_type_ids"]
    assert after.config.encoder_config == config
    assert torch.equal(before(**batch).logits, after(**batch).logits)
    # What no checkpoint holds is uninitialised memory after such a load, so a model must not have any of it.
    assert dict(after.named_non_persistent_buffers()) == {}


def test_a_model_that_reads_bases_answers_alike_after_loading(tmp_path):
    config = replace(CONFIG, vocab_size=8**8, bases_per_token=8, positions="rotary", num_token_types=0)
    before = wrapped(TokenClassifier, config)
    after = auto(TokenClassifier, saved(before, tmp_path))
    ids = torch.randint(0, 8**8, (1, 20), generator=torch.Generator().manual_seed(0))
    assert torch.equal(before(ids).logits, after(ids).logits)
    with pytest.raises(ConfigError, match="has no table of tokens"):
        after.resize_token_embeddings(10)


def test_the_output_matrix_is_the_token_table_and_stored_once(tmp_path):
    saved(wrapped(), tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - no mapping
    assert shapes.count([50, 16]) == 1


def test_config_json_holds_all_of_the_encoder_and_a_model_type_of_our_own(tmp_path):
    values = json.loads((saved(wrapped(), tmp_path) / "config.json").read_text())
    assert values["model_type"] == "bigbird_sparse"
    assert values["architectures"] == ["BigBirdSparseForMaskedLM"]
    assert values["encoder"]["pattern"] == {
        "block_size": 4,
        "global_at": "ends",
        "global_blocks": 2,
        "graph": "paper",
        "random_blocks": 3,
        "seed": 3,
        "window_blocks": 3,
    }
    assert transformers.AutoConfig.from_pretrained(tmp_path).encoder_config == CONFIG
    config = BigBirdSparseConfig(CONFIG)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (16, 3, 2)
    assert (config.vocab_size, config.intermediate_size, config.max_position_embeddings) == (50, 32, 96)
    assert BigBirdSparseConfig().encoder_config.vocab_size == 50358


def test_labels_and_the_kind_of_head_are_kept(tmp_path):
    wrapper = wrapped(FirstTokenClassifier, labels=["no", "perhaps", "yes"], problem_type="multi_label_classification")
    config = auto(FirstTokenClassifier, saved(wrapper, tmp_path)).config
    assert config.id2label == {0: "no", 1: "perhaps", 2: "yes"}
    assert config.label2id == {"no": 0, "perhaps": 1, "yes": 2}
    assert (config.sequence_head, config.classifier_dropout) == ("FirstTokenClassifier", 0.25)
    assert config.problem_type == "multi_label_classification"
    with pytest.raises(ConfigError, match="2 labels were given for a model with 3: no, yes"):
        wrapped(SequenceClassifier, labels=["no", "yes"])


def test_an_encoder_goes_from_any_head_under_any_other(tmp_path):
    language_model = wrapped()
    saved(language_model, tmp_path / "lm")
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "lm")
    saved(encoder, tmp_path / "encoder")
    for folder in ("lm", "encoder"):
        classifier, info = auto(
            SequenceClassifier,
            tmp_path / folder,
            num_labels=3,
            output_loading_info=True,
            sequence_head="SequenceClassifier",
        )
        assert info["missing_keys"] == {
            f"core.{layer}.{part}" for layer in ("pooler", "classifier") for part in ("weight", "bias")
        }
        for name, tensor in language_model.base_model.state_dict().items():
            assert torch.equal(classifier.base_model.state_dict()[name], tensor)
        new = classifier.bigbird.classifier
        assert 0 < new.weight.std() < 0.04
        assert (new.bias == 0).all()


def test_every_part_of_a_new_head_is_filled_in_beside_a_loaded_encoder(tmp_path):
    folder = saved(wrapped(Encoder), tmp_path)
    for kind, options in ((MaskedLanguageModel, {}), (SpanReader, {"sep_token_id": SEPARATOR})):
        model = auto(kind, folder, **options).bigbird
        assert (model.norm.weight == 1).all()
        new = {name: p for name, p in model.named_parameters() if not name.startswith("encoder.")}
        assert all((p == 0).all() for name, p in new.items() if name.endswith("bias"))
        assert all(0 < p.std() < 0.04 for name, p in new.items() if p.ndim == 2)


@EVERY_MODEL
def test_a_new_model_is_initialised_as_an_encoder_of_ours(kind):
    config = from_bigbird(model_of(kind)).config
    model = MODELS[kind][2](config)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            assert 0 < module.weight.std() < 0.03
            assert module.weight.abs().max() <= 0.0401
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
    assert all((p == 0).all() for name, p in model.named_parameters() if name.endswith("bias"))


def losses(kind):
    """Labels, and the loss they should have, computed here from the outputs."""
    cross_entropy = nn.functional.cross_entropy
    tokens = torch.full((2, 60), -100)
    tokens[0, 3], tokens[1, 20] = 4, 2
    return {
        MaskedLanguageModel: (
            {"labels": tokens},
            lambda o: cross_entropy(o.logits[[0, 1], [3, 20]], torch.tensor([4, 2])),
        ),
        TokenClassifier: ({"labels": tokens}, lambda o: cross_entropy(o.logits[[0, 1], [3, 20]], torch.tensor([4, 2]))),
        SequenceClassifier: ({"labels": torch.tensor([2, 0])}, lambda o: cross_entropy(o.logits, torch.tensor([2, 0]))),
        ChoiceScorer: ({"labels": torch.tensor([1])}, lambda o: cross_entropy(o.logits, torch.tensor([1]))),
        SpanReader: (
            {"start_positions": torch.tensor([8, 60]), "end_positions": torch.tensor([12, 0])},
            lambda o: (
                (
                    cross_entropy(o.start_logits[:1], torch.tensor([8]))
                    + cross_entropy(o.end_logits, torch.tensor([12, 0]))
                )
                / 2
            ),
        ),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [MaskedLanguageModel, TokenClassifier, SequenceClassifier, ChoiceScorer, SpanReader],
    ids=lambda k: k.__name__,
)
def test_the_loss_is_that_of_transformers_and_has_gradients(kind):
    wrapper = wrapped(kind)
    labels, expected = losses(kind)
    out = wrapper(**batch_for(kind), **labels)
    torch.testing.assert_close(out.loss, expected(out))
    out.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in wrapper.parameters() if p.grad is not None)
    as_tuple = wrapper(**batch_for(kind), **labels, return_dict=False)
    assert isinstance(as_tuple, tuple)
    assert torch.equal(as_tuple[0], out.loss)


def test_a_loss_can_be_a_share_of_several_batches():
    wrapper = wrapped()
    labels, _ = losses(MaskedLanguageModel)
    whole = wrapper(**padded(), **labels).loss
    share = wrapper(**padded(), **labels, num_items_in_batch=torch.tensor(8)).loss
    torch.testing.assert_close(share, whole / 4)


@pytest.mark.parametrize("place", [2, 40])
def test_an_answer_where_none_can_be_is_an_error(place):
    wrapper = wrapped(SpanReader)
    good = torch.tensor([8, 8])
    with pytest.raises(ShapeError, match=f"start_positions of document 1 is {place}, in the question or in padding"):
        wrapper(**padded(), start_positions=torch.tensor([8, place]), end_positions=good)
    with pytest.raises(ShapeError, match=f"end_positions of document 1 is {place}"):
        wrapper(**padded(), start_positions=good, end_positions=torch.tensor([8, place]))


def test_padding_on_any_side_and_of_any_width_changes_nothing():
    wrapper, batch = wrapped(), padded()
    alone = wrapper(**{name: x[1:, :33] for name, x in batch.items()}).logits
    left = {name: torch.nn.functional.pad(x[1:, :33], (19, 0)) for name, x in batch.items()}
    assert torch.equal(wrapper(**batch).logits[1:, :33], alone)
    assert torch.equal(wrapper(**left).logits[:, 19:], alone)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_hidden_states_are_those_of_every_layer(norm):
    wrapper, batch = wrapped(Encoder, replace(CONFIG, norm=norm)), padded()
    out = wrapper(**batch, output_hidden_states=True)
    assert len(out.hidden_states) == 4
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    mask = batch["attention_mask"].bool()
    layout = DocumentLayout.from_mask(mask, block_size=4)
    encoder = wrapper.bigbird
    ids, types = (layout.pack(batch[name][mask]) for name in ("input_ids", "token_type_ids"))
    embedded = encoder.embeddings(ids, layout.positions(), types)
    assert torch.equal(out.hidden_states[0][mask], layout.unpack(embedded))
    cut = copy.deepcopy(encoder)
    cut.layers, cut.final_norm = cut.layers[:2], None
    assert torch.equal(out.hidden_states[2][mask], layout.unpack(cut(ids, layout=layout, token_types=types)))
    assert wrapper(**batch).hidden_states is None
    wrapper.config.output_hidden_states = True
    assert len(wrapper(**batch).hidden_states) == 4
    assert not any(module._forward_hooks for module in wrapper.modules())


def test_two_threads_get_their_own_hidden_states():
    wrapper = wrapped(Encoder)
    batches = [padded((60, 20)), padded((44, 7), length=50, seed=1)]
    expected = [wrapper(**batch, output_hidden_states=True).hidden_states for batch in batches]
    both_inside = threading.Barrier(2)

    def wait(*_):
        both_inside.wait(timeout=20)

    wrapper.bigbird.layers[0].register_forward_pre_hook(wait)
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda batch: wrapper(**batch, output_hidden_states=True).hidden_states, batches))
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def checkpointed(wrapper, **options):
    if hasattr(wrapper, "activation_checkpointing_enable"):
        wrapper.activation_checkpointing_enable(options)
    else:  # transformers before 5.20 or so
        wrapper.gradient_checkpointing_enable(options)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_activation_checkpointing_computes_layers_twice_and_changes_no_gradient(use_reentrant):
    config = replace(CONFIG, dropout=0.0)
    plain, spared = wrapped(config=config).train(), wrapped(config=config).train()
    checkpointed(spared, use_reentrant=use_reentrant)
    calls = []
    spared.bigbird.encoder.layers[0].attention.register_forward_hook(lambda *_: calls.append(1))
    labels, _ = losses(MaskedLanguageModel)
    for wrapper in (plain, spared):
        wrapper(**padded(), **labels).loss.backward()
    assert len(calls) == 2
    for one, other in zip(plain.parameters(), spared.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    spared.eval()(**padded())
    assert len(calls) == 3


def test_a_wrapped_model_stays_a_model_of_ours():
    model = model_of(MaskedLanguageModel)
    before = model.state_dict().keys()
    wrapper = from_bigbird(model)
    assert model.state_dict().keys() == before
    again = copy.deepcopy(wrapper)
    assert again.bigbird is not model
    assert torch.equal(again(**padded()).logits, wrapper(**padded()).logits)


@pytest.mark.parametrize("size", [60, 40])
def test_a_resized_vocabulary_is_resized_everywhere(tmp_path, size):
    wrapper = wrapped()
    batch = padded()
    batch["input_ids"] %= 40
    with torch.no_grad():
        before = wrapper(**batch).logits
    wrapper.resize_token_embeddings(size, mean_resizing=False)
    after = wrapper(**batch).logits
    assert after.shape[-1] == size == wrapper.config.vocab_size == wrapper.base_model.config.vocab_size
    torch.testing.assert_close(after[..., :40], before[..., :40])
    loaded = auto(MaskedLanguageModel, saved(wrapper, tmp_path))
    assert torch.equal(loaded(**batch).logits, after)
    labels, _ = losses(MaskedLanguageModel)
    wrapper(**batch, **labels).loss.backward()
    assert wrapper.bigbird.bias.grad.shape == (size,)


def test_input_vectors_can_be_read_and_replaced():
    wrapper = wrapped()
    assert wrapper.get_input_embeddings() is wrapper.bigbird.encoder.embeddings.tokens
    table = nn.Embedding(50, 16)
    wrapper.set_input_embeddings(table)
    assert wrapper.bigbird.encoder.embeddings.tokens is table


def test_what_is_not_served_says_so():
    wrapper, batch = wrapped(), padded()
    with pytest.raises(ShapeError, match="read input_ids alone: there is no inputs_embeds"):
        wrapper(inputs_embeds=torch.zeros(1, 4, 16))
    with pytest.raises(ShapeError, match="read input_ids alone"):
        wrapper()
    with pytest.raises(ConfigError, match="output_attentions is not served"):
        wrapper(**batch, output_attentions=True)
    with pytest.raises(ShapeError, match=r"attention_mask must be integers \[2, 60\]"):
        wrapper(batch["input_ids"], attention_mask=torch.ones(2, 1, 60, 60))
    with pytest.raises(ShapeError, match="attention_mask must hold 1 for a real token and 0 for padding, got -1"):
        wrapper(batch["input_ids"], attention_mask=2 * batch["attention_mask"] - 1)
    with pytest.raises(ShapeError, match=r"token_type_ids must be integers \[2, 60\]"):
        wrapper(batch["input_ids"], token_type_ids=torch.ones(2, 59, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"input_ids must be integers \[batch, length\]"):
        wrapper(torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ShapeError, match="document 1 of the batch has no real token"):
        wrapper(batch["input_ids"], attention_mask=torch.tensor([1, 0])[:, None].expand(2, 60))
    with pytest.raises(ShapeError, match=r"input_ids must be \[batch, choices, length\]"):
        wrapped(ChoiceScorer)(**batch)
    with pytest.raises(ConfigError, match="no wrapper of PretrainingModel; there are those of Encoder, Masked"):
        from_bigbird(PretrainingModel(CONFIG))


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ConfigError, match="hidden_size is a setting of the encoder; give BigBirdSparseConfig"):
        BigBirdSparseConfig(hidden_size=32)
    with pytest.raises(ConfigError, match="the config's encoder: there is no setting 'hidden'"):
        BigBirdSparseConfig({"hidden": 32})
    with pytest.raises(ConfigError, match="encoder must be an EncoderConfig or its values by name, got 5"):
        BigBirdSparseConfig(5)
    with pytest.raises(ConfigError, match="sequence_head must be one of SequenceClassifier, FirstTokenClassifier"):
        BigBirdSparseConfig(CONFIG, sequence_head="Pooler")
    with pytest.raises(
        ConfigError, match="SequenceClassifier has the encoder's dropout 0.1, got classifier_dropout 0.5"
    ):
        BigBirdSparseForSequenceClassification(BigBirdSparseConfig(CONFIG, classifier_dropout=0.5))
    with pytest.raises(ConfigError, match="question answering needs sep_token_id"):
        BigBirdSparseForQuestionAnswering(BigBirdSparseConfig(CONFIG))


def test_token_types_of_zero_say_nothing_to_a_model_without_types():
    wrapper, batch = wrapped(config=replace(CONFIG, num_token_types=0)), padded()
    types = batch.pop("token_type_ids")
    zeros = wrapper(**batch, token_type_ids=torch.zeros_like(types)).logits
    assert torch.equal(zeros, wrapper(**batch).logits)
    with pytest.raises(ShapeError, match="token_types were given to a model without token types"):
        wrapper(**batch, token_type_ids=types)


def training_arguments(folder, **options):
    options = {"per_device_train_batch_size": 2, **options}
    return transformers.TrainingArguments(
        folder, max_steps=2, use_cpu=True, report_to=[], disable_tqdm=True,
        save_strategy="no", logging_strategy="no", dataloader_pin_memory=False, **options
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Trainer and transformers among themselves
def test_trainer_takes_a_step_with_accumulation_and_checkpointing(tmp_path):
    pytest.importorskip("accelerate")
    wrapper = wrapped()
    before = {name: p.detach().clone() for name, p in wrapper.named_parameters()}
    batch = padded()
    records = [{**{name: x[i] for name, x in batch.items()}, "labels": batch["input_ids"][i]} for i in (0, 1)] * 4
    trainer = transformers.Trainer(
        wrapper,
        training_arguments(tmp_path, gradient_accumulation_steps=2, gradient_checkpointing=True),
        train_dataset=records,
    )
    assert torch.isfinite(torch.tensor(trainer.train().training_loss))
    assert all(not torch.equal(p, before[name]) for name, p in wrapper.named_parameters())
    trainer.save_model(tmp_path / "model")
    loaded = auto(MaskedLanguageModel, tmp_path / "model")
    assert all(torch.equal(p, q) for p, q in zip(loaded.parameters(), wrapper.parameters(), strict=True))


# What docs/transformers.md names.
LORA_PLACES = r".*\.encoder\..*\.(qkv|output|inner)"
HEADS_TO_TRAIN = {
    SequenceClassifier: ("SEQ_CLS", ["pooler", "classifier"], {"labels": torch.tensor([0, 1])}),
    FirstTokenClassifier: ("SEQ_CLS", ["hidden", "classifier"], {"labels": torch.tensor([0, 1])}),
    TokenClassifier: ("TOKEN_CLS", ["classifier"], {"labels": torch.ones(2, 60, dtype=torch.int64)}),
    SpanReader: (
        "QUESTION_ANS",
        ["core.feed_forward", "core.norm", "ends"],
        {"start_positions": torch.tensor([8, 9]), "end_positions": torch.tensor([8, 9])},
    ),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Trainer and transformers among themselves
@pytest.mark.parametrize("kind", [MaskedLanguageModel, TokenClassifier], ids=lambda kind: kind.__name__)
def test_accumulated_batches_weigh_by_their_labels(tmp_path, kind):
    pytest.importorskip("accelerate")
    config = replace(CONFIG, dropout=0.0)
    labels = torch.full((2, 60), -100)
    labels[0, :2], labels[1, :30] = 1, 2
    records = [{**{name: x[i] for name, x in padded().items()}, "labels": labels[i]} for i in (0, 1)]
    wrappers = []
    for size, accumulated in ((2, 1), (1, 2)):
        model = MODELS[kind][0](config) if kind is MaskedLanguageModel else TokenClassifier(config, num_labels=5)
        model.load_state_dict(model_of(kind, config).state_dict())
        wrappers.append(from_bigbird(model))
        arguments = training_arguments(
            tmp_path,
            optim="sgd",
            learning_rate=0.5,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulated,
        )
        transformers.Trainer(wrappers[-1], arguments, train_dataset=records).train()
    for one, other in zip(wrappers[0].parameters(), wrappers[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT and transformers among themselves
@pytest.mark.parametrize("kind", HEADS_TO_TRAIN, ids=lambda kind: kind.__name__)
def test_lora_trains_its_matrices_and_the_head_and_is_stored_and_merged(tmp_path, kind):
    peft = pytest.importorskip("peft")
    task, head, labels = HEADS_TO_TRAIN[kind]
    lora = peft.LoraConfig(task_type=task, r=2, target_modules=LORA_PLACES, modules_to_save=[*head])
    model = peft.get_peft_model(wrapped(kind), lora)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {"lora_" in name or "modules_to_save" in name for name in trained} == {True}
    of_the_encoder = [name for name in trained if ".encoder." in name]
    assert all("lora_" in name for name in of_the_encoder)
    assert len(of_the_encoder) == CONFIG.num_layers * 4 * 2
    parts = {name.split(".modules_to_save")[0] for name in trained if ".encoder." not in name}
    assert parts == {name for name in parts if name.endswith(tuple(head))}
    assert len(parts) == len(head)
    batch = padded()
    if kind is SpanReader:  # PEFT's model for it drops them, and ours makes its own
        del batch["token_type_ids"]
    optimizer = torch.optim.SGD(trained.values(), lr=0.5)
    for _ in range(2):
        model(**batch, **labels).loss.backward()
        optimizer.step()
    model.eval()
    out = numbers(model(**batch))[0]
    model.save_pretrained(tmp_path)
    loaded = peft.PeftModel.from_pretrained(wrapped(kind), tmp_path).eval()
    assert torch.equal(numbers(loaded(**batch))[0], out)
    torch.testing.assert_close(numbers(model.merge_and_unload()(**batch))[0], out)


def test_pipelines_of_transformers_take_our_models(tmp_path):
    tokenizer = word_tokenizer()
    config = replace(CONFIG, vocab_size=len(tokenizer))
    text = "the cat [MASK] on the mat"
    folder = saved(wrapped(config=config), tmp_path / "lm")
    tokenizer.save_pretrained(folder)
    guesses = transformers.pipeline("fill-mask", str(folder))(text)
    assert len(guesses) == 5
    assert sum(guess["score"] for guess in guesses) <= 1
    classify = transformers.pipeline(
        "text-classification", wrapped(SequenceClassifier, config, labels=["a", "b", "c"]), tokenizer=tokenizer
    )
    scores = classify([text, "the mat"], top_k=None, batch_size=2)
    assert {score["label"] for score in scores[1]} == {"a", "b", "c"}
    alone = classify("the mat", top_k=None)
    assert [s["score"] for s in alone] == [s["score"] for s in scores[1]]
    tag = transformers.pipeline("token-classification", wrapped(TokenClassifier, config), tokenizer=tokenizer)
    assert [piece["word"] for piece in tag("the cat sat")] == ["the", "cat", "sat"]
    vectors = transformers.pipeline("feature-extraction", wrapped(Encoder, config), tokenizer=tokenizer)("the cat")
    assert torch.tensor(vectors).shape == (1, 4, 16)


def test_one_import_makes_them_known_to_transformers():
    code = (
        "import bigbird.interop.transformers as ours\n"
        "from transformers import AutoConfig, AttentionInterface\n"
        "from transformers.pipelines import PIPELINE_REGISTRY\n"
        "assert type(AutoConfig.for_model('bigbird_sparse')) is ours.BigBirdSparseConfig\n"
        "assert 'bigbird' in AttentionInterface()\n"
        "for name in ('bigbird-question-answering', 'bigbird-summarization'):\n"
        "    assert name in PIPELINE_REGISTRY.get_supported_tasks()\n"
        "assert all(getattr(ours, name) for name in ours.__all__)\n"
        "print('known')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "known", done.stderr
