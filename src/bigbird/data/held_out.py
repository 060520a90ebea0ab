"""Whether a model and a prepared corpus belong together, and the corpus' held-out documents for such a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigbird.data.corpus_tokenizer import tokenizer_id
from bigbird.data.packing import TokenRow
from bigbird.data.prepared import PreparedCorpus, held_out_rows
from bigbird.data.sources import Datasets
from bigbird.errors import ConfigError
from bigbird.tokenizers import Tokenizer


def check_tokenizer(tokenizer: Tokenizer, wanted: Tokenizer, *, source: str) -> None:
    """Raise when the model that `source` names has another tokenizer than its data was cut into tokens with."""
    given, needed = tokenizer_id(tokenizer), tokenizer_id(wanted)
    if given != needed:
        raise ConfigError(
            f"{source} has another tokenizer ({given[:12]}) than the corpus ({needed[:12]}), whose ids mean other "
            f"pieces. Prepare the corpus with that model's tokenizer (bigbird prepare --tokenizer FOLDER), or take "
            f"another model."
        )


def check_block_size(datasets: Datasets, block_size: int) -> None:
    """Raise when rows were packed for blocks of another size than the model's."""
    if datasets.block_size not in (0, block_size):
        raise ConfigError(
            f"data.block_size is {datasets.block_size}, the model's pattern has blocks of {block_size}. Set "
            f"data.block_size={block_size}, or start.encoder.pattern.block_size for a new model."
        )


def check_longest(datasets: Datasets, max_length: int) -> None:
    """Raise when rows hold longer examples than the task reads; else a run might find the first one after days."""
    if datasets.longest > max_length:
        fitting = max_length - max_length % datasets.block_size
        raise ConfigError(
            f"rows of the corpus hold pieces of up to {datasets.longest} tokens, more than task.max_length "
            f"{max_length}. Give data.row_length={fitting}, or a greater task.max_length."
        )


def held_out_for(
    corpus: Path, tokenizer: Tokenizer, *, row_length: int, block_size: int, source: str
) -> Sequence[TokenRow]:
    """Rows of all held-out documents of the corpus in a folder, for a model with this tokenizer and block size.

    What is hidden of a document does not depend on `row_length`, so that scores at several lengths are of the same
    tokens (but for words that are cut in two at the end of a row).
    """
    opened = PreparedCorpus.open(corpus)
    check_tokenizer(tokenizer, opened.load_tokenizer(), source=source)
    return held_out_rows(opened, row_length=row_length, block_size=block_size)
