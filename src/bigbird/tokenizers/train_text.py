"""A vocabulary of text learned from texts: byte pairs in RoBERTa's layout, which bigbird and transformers both read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import tokenizers
from bigbird.errors import ConfigError
from bigbird.tokenizers.byte_alphabet import LETTERS
from bigbird.tokenizers.families import FAMILIES
from bigbird.tokenizers.published_pieces import PublishedPieces
from bigbird.tokenizers.text import TextTokenizer
from bigbird.tokenizers.vocabulary_files import BytePairs
from tokenizers import models, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # RoBERTa's, and its ids of the first four
SMALLEST_VOCABULARY = len(SPECIAL_TOKENS) + len(LETTERS)
LARGEST_VOCABULARY = 400_000  # pieces that are read again

_LONGEST_PIECE = 32  # letters of the alphabet; runs of signs and tables would otherwise fill the vocabulary
_SURROGATE = re.compile("[\ud800-\udfff]")


def train_text_tokenizer(texts: Iterable[str], *, vocab_size: int) -> TextTokenizer:
    """Learn byte pairs (Sennrich et al. 2016, on bytes as GPT-2) from texts; any text can be spelled with them.

        "the cats"  ->  [the] [Ġcat] [s]

    The same texts give the same vocabulary, in any order and on any number of cores. Few or short texts may give fewer
    than `vocab_size` pieces. `save` writes it in the Hub's layout.
    """
    if not SMALLEST_VOCABULARY <= vocab_size <= LARGEST_VOCABULARY:
        raise ConfigError(
            f"vocab_size must be from {SMALLEST_VOCABULARY} (256 bytes and {len(SPECIAL_TOKENS)} special tokens) to "
            f"{LARGEST_VOCABULARY:,}, got {vocab_size}"
        )
    engine = tokenizers.Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=LETTERS,
        max_token_length=_LONGEST_PIECE,
        show_progress=False,
    )
    engine.train_from_iterator((_SURROGATE.sub("\ufffd", text) for text in texts), trainer)
    return TextTokenizer(PublishedPieces(_pairs(engine), FAMILIES["roberta"]), family="roberta", source="the texts")


def _pairs(engine: tokenizers.Tokenizer) -> BytePairs:
    """What was learned, as the vocabularies of strangers are held."""
    model = json.loads(engine.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    return BytePairs(tuple(pieces), tuple((first, second) for first, second in merges))
