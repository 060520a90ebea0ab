"""Sequences to token ids, with the place of each token in its source."""

from pathlib import Path

from bigbird.tokenizers.base import Encoding, Tokenizer
from bigbird.tokenizers.dna import DnaTokenizer, clean_dna, reverse_complement
from bigbird.tokenizers.kmers import KmerTokenizer
from bigbird.tokenizers.text import JoinedTexts, TextTokenizer

__all__ = [
    "DnaTokenizer",
    "Encoding",
    "JoinedTexts",
    "KmerTokenizer",
    "TextTokenizer",
    "Tokenizer",
    "clean_dna",
    "load_tokenizer",
    "reverse_complement",
]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of a model folder, whichever kind it is."""
    return TextTokenizer.load(folder) or KmerTokenizer.load(folder) or DnaTokenizer.load(folder)
