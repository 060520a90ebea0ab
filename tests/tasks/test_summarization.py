"""Documents and summaries to tokens and back, the loss as it is said to be, writing that learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import reader_models as readers
import sentencepiece_models as made
from bigbird.attention import PatternSpec
from bigbird.checkpoint import LoadedModel, load_model, save_model
from bigbird.config import overridden
from bigbird.data.questions import Question
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError, DataError
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.generation_config import Sampling
from bigbird.predictor import Predictor
from bigbird.recipes import recipe
from bigbird.tasks import Summarization
from bigbird.tasks.summary_tokens import source_tokens, text_of, text_tokens
from bigbird.tokenizers import DnaTokenizer, TextTokenizer
from bigbird.training.context import check_task

EVERY_FAMILY = pytest.mark.parametrize("family", readers.FAMILIES)
SMALL = Summarization(
    max_length=48,
    generation=replace(Summarization().generation, max_new_tokens=16, num_beams=2),
)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def document(text="red one so blue two", *summaries, **fields):
    return SummarizedDocument(document=text, summaries=summaries, name="d", **fields)


def writer(tokenizer, *, seed=0, task=SMALL, **changes):
    """An untrained summarizer."""
    config = replace(readers.reader(readers.SMALL, tokenizer).encoder, **changes)
    settled = task.settled(tokenizer, config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = settled.build_model(config).eval()
    return LoadedModel(model, config, settled, tokenizer, {})


@EVERY_FAMILY
def test_a_document_is_read_from_its_beginning_and_what_is_left_out_is_counted(vocabularies, family):
    tokenizer = vocabularies[family]
    text = "red one so blue two " * 20
    whole = tokenizer.encode_batch([text], read_symbols=False)[0]
    source = source_tokens(document(text), tokenizer, most=24)
    read = [(start, end) for start, end in zip(source.starts.tolist(), source.ends.tolist(), strict=True) if end]
    places = [(start, end) for start, end in zip(whole.starts.tolist(), whole.ends.tolist(), strict=True) if end]
    assert read == places[: len(read)]
    assert len(source.ids) == 24
    num_special = len(tokenizer.join(whole).ids) - len(whole.ids)
    exactly = source_tokens(document(text), tokenizer, most=len(whole.ids) + num_special)
    assert exactly.num_left_out == 0
    assert exactly.ids.tolist() == tokenizer.join(whole).ids.tolist()
    assert source.num_left_out == len(whole.ids) - (len(source.ids) - num_special) > 0


@EVERY_FAMILY
def test_a_query_stands_before_the_document_and_has_no_places_in_it(vocabularies, family):
    tokenizer = vocabularies[family]
    alone, asked = (source_tokens(document(query=q), tokenizer, most=48) for q in ("", "red two"))
    added = tokenizer.encode_batch(["red two"], read_symbols=False)[0].ids
    assert len(asked.ids) == len(alone.ids) + len(added) + len(tokenizer.family.after_first)
    assert asked.ids[1 : 1 + len(added)].tolist() == added.tolist()
    assert (asked.ends > 0).sum() == (alone.ends > 0).sum()
    assert (asked.token_types is not None) == (family != "roberta")


def test_a_query_that_leaves_no_room_is_an_error(vocabularies):
    with pytest.raises(DataError, match="the query of document 'd' leaves no room for the document in 8 tokens"):
        source_tokens(document(query="red one so blue two"), vocabularies["bert"], most=8)


@EVERY_FAMILY
def test_tokens_of_a_text_are_its_text_again(vocabularies, family):
    tokenizer = vocabularies[family]
    assert text_of(text_tokens("red one so blue", tokenizer).ids.tolist(), tokenizer) == "red one so blue"


@EVERY_FAMILY
def test_what_is_learned_is_the_summary_between_its_first_and_last_token(vocabularies, family):
    tokenizer = vocabularies[family]
    task = writer(tokenizer).task
    (example,) = task.encode(document("red one", "so blue"), tokenizer, purpose="train")
    ids = tokenizer.encode_batch(["so blue"], read_symbols=False)[0].ids.tolist()
    assert example.written.tolist() == [task.generation.start_token, *ids, task.generation.end_token]
    short = replace(task, generation=replace(task.generation, max_new_tokens=3))
    (cut,) = short.encode(document("red one", "so blue " * 9), tokenizer, purpose="train")
    assert len(cut.written) == 4  # the start, and three to learn
    assert task.generation.end_token not in cut.written[1:]


def test_the_loss_is_the_smoothed_cross_entropy_of_real_places_alone(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = writer(tokenizer)
    task, model = loaded.task, loaded.model
    documents = [document("red one so", "so blue"), document("blue two " * 12, "red one two so blue")]
    examples = [e for one in documents for e in task.encode(one, tokenizer, purpose="train")]
    batch = task.collate(examples, block_size=16)
    with torch.no_grad():
        found = task.loss(model, batch)
    expected, count = 0.0, 0
    for example in examples:
        alone = task.collate([example], block_size=16)
        before, behind = example.written[:-1], torch.from_numpy(example.written[1:])
        logits = model(
            alone.token_ids, alone.written.token_ids, layout=alone.layout, target_layout=alone.written.layout
        )
        logs = F.log_softmax(logits[: len(before)].double(), dim=1)
        right = logs[torch.arange(len(behind)), behind]
        expected -= float((0.9 * right + 0.1 * logs.mean(1)).sum().detach())
        count += len(behind)
    assert int(found.num_targets) == count
    assert float(found.total) == pytest.approx(expected, rel=1e-5)
    batch.written.next_ids[~batch.written.layout.is_real()] = 7  # filling teaches nothing
    assert float(task.loss(model, batch).total.detach()) == float(found.total)


@pytest.mark.parametrize("search", [{}, {"num_beams": 1, "sampling": Sampling(temperature=2.0)}])
def test_a_summary_does_not_depend_on_its_neighbours(vocabularies, search):
    tokenizer = vocabularies["bert"]
    task = replace(SMALL, generation=replace(SMALL.generation, **search))
    predictor = Predictor(writer(tokenizer, task=task))
    documents = [document(text) for text in ("red one so", "blue two " * 15, "so so red blue one two", "red")]
    together = list(predictor.predict(documents))
    assert together == [next(predictor.predict([one])) for one in documents]
    assert [one.num_left_out for one in together] == [0, 0, 0, 0]


def test_it_learns_to_copy_what_follows_red(vocabularies):
    tokenizer = vocabularies["bert"]
    values = ["one", "two", "three", "four"]
    chance = np.random.default_rng(0)

    def example(_):
        words = chance.choice(["so", "blue"], 8).tolist()
        value = values[chance.integers(4)]
        words[chance.integers(7)] = f"red {value}"
        return document(" ".join(words), value)

    loaded = writer(tokenizer, task=replace(SMALL, label_smoothing=0.0))
    task, model = loaded.task, loaded.model
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for step in range(120):
        examples = [e for number in range(16) for e in task.encode(example(number + step), tokenizer, purpose="train")]
        loss = task.loss(model, task.collate(examples, block_size=16))
        optimizer.zero_grad()
        (loss.total / loss.num_targets).backward()
        optimizer.step()
    model.eval()
    unseen = [example(number) for number in range(30)]
    written = list(Predictor(loaded).predict(unseen))
    assert np.mean([one.text == other.summaries[0] for one, other in zip(written, unseen, strict=True)]) > 0.8
    assert task.score(written, unseen)["rouge1"].value > 0.8


def test_a_model_folder_writes_as_before(vocabularies, tmp_path):
    loaded = writer(
        vocabularies["bert"],
        task=replace(SMALL, decoder=DecoderConfig(num_layers=2, num_heads=2, inner_size=64, is_coupled=True)),
    )
    save_model(tmp_path / "model", loaded)
    again = load_model(tmp_path / "model")
    assert again.task == loaded.task
    asked = [document("blue two " * 9)]
    assert list(Predictor(again).predict(asked)) == list(Predictor(loaded).predict(asked))


def test_sparse_decoders_write_too(vocabularies):
    spec = PatternSpec(block_size=16, window_blocks=2, global_blocks=1, random_blocks=0)
    decoder = DecoderConfig(
        num_layers=1, num_heads=2, inner_size=32, max_length=64, self_attention=spec, cross_attention=spec
    )
    loaded = writer(vocabularies["bert"], task=replace(SMALL, decoder=decoder))
    assert next(Predictor(loaded).predict([document("blue two " * 20)])).token_ids


def test_mistakes_are_told(vocabularies):
    tokenizer = vocabularies["bert"]
    task = writer(tokenizer).task
    with pytest.raises(DataError, match="summaries are of documents, got a Question"):
        task.encode(Question(question="q", document="d", name="q"), tokenizer, purpose="predict")
    with pytest.raises(DataError, match="document 'd' has no summary, so nothing can be learned from it"):
        task.encode(document(), tokenizer, purpose="train")
    with pytest.raises(ConfigError, match="summaries need a vocabulary of text, got DnaTokenizer"):
        SMALL.settled(DnaTokenizer.single_base(), writer(tokenizer).encoder)
    with pytest.raises(ConfigError, match=r"task.label_smoothing must be in \[0, 1\), got 1"):
        replace(SMALL, label_smoothing=1.0)
    with pytest.raises(ConfigError, match="task.max_length must be at least 8, got 4"):
        replace(SMALL, max_length=4)
    longer, unknown = (replace(task.generation, **some) for some in ({"max_new_tokens": 17}, {"start_token": 9999}))
    with pytest.raises(ConfigError, match="max_new_tokens 17 is more than the decoder writes, 16"):
        replace(task, generation=longer)
    with pytest.raises(ConfigError, match=r"generation.start_token must be one of the model's \d+ tokens, got 9999"):
        replace(task, generation=unknown).build_model(writer(tokenizer).encoder)
    with pytest.raises(ConfigError, match="task.decoder is missing"):
        replace(task, decoder=None).build_model(writer(tokenizer).encoder)
    encoder, other = writer(tokenizer).encoder, DecoderConfig(num_layers=9, num_heads=2, inner_size=8)
    with pytest.raises(ConfigError, match="the model to begin from has a decoder of its own"):
        replace(SMALL, decoder=other).settled(tokenizer, encoder, task)
    with pytest.raises(ConfigError, match="a summary is written from all of a document"):
        check_task(task, 2)


def test_the_papers_runs_are_those_of_its_table(vocabularies):
    coupled, large = (recipe(f"summarization.{name}") for name in ("roberta_base", "pegasus_large"))
    for run in (coupled, large):  # Zaheer et al. 2020, table 17
        assert run.task.max_length == 3072
        assert (run.training.batch_size, run.training.warmup_steps) == (128, 10_000)
        search = run.task.generation
        assert (search.num_beams, search.length_penalty, search.max_new_tokens) == (5, 0.8, 256)
    assert (coupled.training.optimizer, large.training.optimizer) == ("adamw", "adafactor")
    decoder = coupled.task.settled(vocabularies["bert"], coupled.start.encoder).decoder
    assert (decoder.num_layers, decoder.num_heads, decoder.inner_size, decoder.is_coupled) == (12, 12, 3072, True)
    small = overridden(recipe("summarization.small"), ["task.decoder.is_coupled=true", "task.decoder.max_length=300"])
    assert small.task.decoder == DecoderConfig(is_coupled=True, max_length=300)


def test_query_and_document_of_a_family_without_separators_do_not_run_into_each_other():
    tokenizer = TextTokenizer(made.pegasus(published_by_bigbird=False), family="pegasus")
    one, other = (
        source_tokens(document(text, query=query), tokenizer, most=48).ids.tolist()
        for query, text in (("the cat", "is on it"), ("the", "cat is on it"))
    )
    assert one != other
