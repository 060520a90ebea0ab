"""Sequences to token ids, with the place of each token in its source."""

from bigbird.tokenizers.base import Encoding, Tokenizer
from bigbird.tokenizers.dna import DnaTokenizer, clean_dna, reverse_complement

__all__ = ["DnaTokenizer", "Encoding", "Tokenizer", "clean_dna", "reverse_complement"]
