"""Readers out of the Hub: their logits are what transformers computes, their answers stand in the text."""

from dataclasses import replace

import pytest
import torch
import transformers

import reader_models as readers
import sentencepiece_models as made
from bigbird.data.questions import Question
from bigbird.errors import CheckpointError
from bigbird.interop.huggingface import save
from bigbird.interop.published_readers import load_reader
from bigbird.reading.reader import Reader
from bigbird.tokenizers import TextTokenizer
from hub_folders import CONFIG, MODELS

TEXT = "Straße one is red and two is blue, then three. " * 12
QUESTION = "what is two?"
WRITERS = {"bert": readers.write_bert, "roberta": readers.write_roberta}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def written(folder, kind, architecture="ForQuestionAnswering", **values):
    """A reader of transformers with random weights, with its vocabulary."""
    tokenizer = TextTokenizer.from_folder(WRITERS[kind](folder))
    name = {"bert": "Bert", "roberta": "Roberta"}[kind]
    own = (
        {"max_position_embeddings": 66, "type_vocab_size": 1} if kind == "roberta" else {"max_position_embeddings": 64}
    )
    config = getattr(transformers, f"{name}Config")(vocab_size=tokenizer.vocab_size, **SIZES | own | values)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}{architecture}")(config).eval()
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_every_window_has_the_logits_of_the_published_reader(tmp_path, kind):
    theirs = written(tmp_path, kind)
    loaded = load_reader(tmp_path)
    assert (loaded.task.max_length, loaded.task.none_allowed) == (64, True)
    examples = loaded.task.encode(Question(question=QUESTION, document=TEXT), loaded.tokenizer, purpose="predict")
    assert len(examples) > 2
    with torch.inference_mode():
        logits = loaded.task.logits(loaded.model, examples, block_size=loaded.encoder.pattern.block_size)
        for example, ours in zip(examples, logits, strict=True):
            types = example.token_types if kind == "bert" else example.token_types * 0
            found = theirs(torch.tensor(example.token_ids)[None], token_type_ids=torch.tensor(types)[None])
            both = torch.stack((found.start_logits[0], found.end_logits[0]), 1)
            torch.testing.assert_close(torch.tensor(ours).float(), both, atol=1e-4, rtol=1e-4)


def test_a_bigbird_of_the_hub_reads_as_far_as_it_does_there(tmp_path):
    tokenizer = TextTokenizer(made.tiny(), family="bigbird")
    config = replace(CONFIG, vocab_size=tokenizer.vocab_size, max_length=256)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS["load_question_answering"](config).eval()
    save(model, tmp_path / "hub")
    (tmp_path / "hub" / "spiece.model").write_bytes(made.tiny())
    (tmp_path / "hub" / "tokenizer_config.json").write_text('{"tokenizer_class": "BigBirdTokenizer"}')
    loaded = load_reader(tmp_path / "hub")
    assert (loaded.task.max_length, loaded.task.none_allowed) == (256, False)
    assert loaded.encoder.pattern == config.pattern
    answers = Reader.load(tmp_path / "hub", device="cpu").ask(TEXT, QUESTION)
    assert answers.no_answer == 0
    assert all(TEXT[one.start : one.end] == one.text for one in answers.answers)
    assert answers.answers


def test_a_reader_of_the_hub_is_asked_like_one_of_ours(tmp_path):
    written(tmp_path, "bert")
    answers = Reader.load(tmp_path, device="cpu").ask(TEXT, QUESTION)
    assert len(answers.answers) == 3
    assert sum(one.score for one in answers.answers) + answers.no_answer <= 1 + 1e-9


@pytest.mark.parametrize(
    ("architecture", "values", "message"),
    [
        (
            "Model",
            {},
            "answers no questions: it has no head qa_outputs.weight .* bigbird train question_answering.spans",
        ),
        ("ForQuestionAnswering", {"num_labels": 3}, "answers no questions: it has no head qa_outputs.weight of 2 rows"),
        ("ForMaskedLM", {}, "answers no questions: its head is that of MaskedLanguageModel"),
    ],
)
def test_a_model_without_such_a_head_is_refused(tmp_path, architecture, values, message):
    written(tmp_path, "bert", architecture, **values)
    with pytest.raises(CheckpointError, match=message):
        Reader.load(tmp_path, device="cpu")
