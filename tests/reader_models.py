"""Small vocabularies of the three families of text, questions with answers drawn into noise, and tiny readers."""

import random

import torch
from transformers import BertConfig, BertModel

import sentencepiece_models as made
import tokenizers
from bigbird.attention import PatternSpec
from bigbird.checkpoint import LoadedModel
from bigbird.data.questions import AnswerSpan, Question
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import SpanQA
from bigbird.tokenizers import TextTokenizer
from tokenizers import models, pre_tokenizers, trainers

FAMILIES = ("bert", "roberta", "bigbird")
KEYS = ["red", "blue", "green", "black", "white", "grey", "pink", "brown"]
VALUES = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
NOISE = ["and", "then", "while", "so", "but", "yet", "or", "if"]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_SENTENCES = [
    "The quick brown fox isn't quicker than the other foxes, who'd run 123 km.",
    "Straße, café, naïve: ete and Angstrom; 日本語 and 漢字。 한국어 שלום العربية",
]


def write_bert(folder):
    """A vocabulary of BERT's kind in a folder: the words of the needle, and letters for all else."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789.,:;?!'()éüß日本語漢字שלום한국어"))
    words = [*_SPECIAL, *KEYS, *VALUES, *NOISE, "is", "what", "?", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in dict.fromkeys(words)))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    return folder


def write_roberta(folder):
    folder.mkdir(parents=True, exist_ok=True)
    engine = tokenizers.Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    engine.train_from_iterator(_SENTENCES * 2, trainer)
    engine.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}')
    return folder


def text_tokenizers(folder):
    """A tokenizer of each family."""
    return {
        "bert": TextTokenizer.from_folder(write_bert(folder / "bert")),
        "roberta": TextTokenizer.from_folder(write_roberta(folder / "roberta")),
        "bigbird": TextTokenizer(made.tiny(), family="bigbird"),
    }


def needle(index, *, num_words=40, is_impossible=False):
    """ "and red one so blue four … what is blue?" -> "four"; where there is no answer, the key is not in the text."""
    chance = random.Random(f"needle {index}")
    keys = chance.sample(KEYS, 4)
    asked = keys[-1]
    words = [chance.choice(NOISE) for _ in range(num_words)]
    hidden = keys[:-1] if is_impossible else keys
    for place, key in zip(sorted(chance.sample(range(0, num_words, 2), len(hidden))), hidden, strict=True):
        words[place : place + 2] = [key, chance.choice(VALUES)]
    document = " ".join(words)
    answers = ()
    if not is_impossible:
        start = document.index(f"{asked} ") + len(asked) + 1
        answers = (AnswerSpan(start, document.index(" ", start) if " " in document[start:] else len(document)),)
    return Question(
        name=f"needle {index}",
        question=f"what is {asked}?",
        document=document,
        answers=answers,
        is_impossible=is_impossible,
    )


def reader(task, tokenizer, *, seed=0, **changes):
    """An untrained reader."""
    values = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "inner_size": 64,
        "max_length": 256,
        "num_token_types": 2,
        "dropout": 0.0,
        "pattern": PatternSpec(block_size=16),
    }
    config = EncoderConfig(**values | changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = task.build_model(config).eval()
    return LoadedModel(model, config, task, tokenizer, {})


SMALL = SpanQA(max_length=64, max_question_tokens=16, overlap=16, max_answer_tokens=8)


def bert_folder(folder):
    """A tiny BERT as the Hub has it, with its vocabulary."""
    tokenizer = TextTokenizer.from_folder(write_bert(folder))
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder
