"""How many tokens a model of transformers reads at once, and a question with its document in windows of so many."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from bigbird.errors import ConfigError, DataError

# A tokenizer keeps how it cuts in itself, so two threads that share one would get each other's windows.
TOKENIZING = threading.Lock()

_NO_LIMIT = 10**6  # a tokenizer that knows no longest text says 10**30
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_STRIDE = 128  # tokens; as the question-answering pipeline that transformers had


class QuestionWindows(NamedTuple):
    """A question and its document, tokenized.

    encoding  input_ids, and the tokenizer's other inputs, one list per window
    firsts    place of each window's first token of the context
    offsets   int64 [tokens of the context in the window, 2] per window: the characters that each covers
    """

    encoding: dict[str, list[list[int]]]
    firsts: list[int]
    offsets: list[Any]


def longest_input(model: Any, tokenizer: Any) -> int | None:
    """Tokens that a model reads at once, special ones included; None where neither it nor its tokenizer has a limit."""
    known = [_positions(model), tokenizer.model_max_length]
    limits = [limit for limit in known if limit is not None and limit < _NO_LIMIT]
    return min(limits, default=None)


def _positions(model: Any) -> int | None:
    """Rows of a position table that are for tokens: RoBERTa and its kin keep those up to the padding's for it."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return module.num_embeddings - module.padding_idx - 1
    config = model.config
    for name in ("max_encoder_position_embeddings", "max_position_embeddings"):
        if isinstance(getattr(config, name, None), int) and getattr(config, name) > 0:
            return int(getattr(config, name))
    return None


def accepted(inputs: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The tensors that the model has an argument for; token types only if it tells two from another."""
    names = set(inspect.signature(model.forward).parameters)
    if "input_ids" not in names:  # a wrapper that hands on what it gets, as PEFT's
        names = set(_INPUTS)
    if getattr(model.config, "type_vocab_size", 2) < 2:
        names.discard("token_type_ids")
    return {name: value for name, value in inputs.items() if name in names}


def cut(
    question: str, context: str, tokenizer: Any, *, max_length: int, stride: int | None, max_answer_length: int
) -> QuestionWindows:
    """One window if all fits into `max_length` tokens; else as many as it takes, neighbours sharing `stride`.

    q q q s c c c c c c s
    q q q s         c c c c c c s          stride 2
    """
    with TOKENIZING:
        return _cut(question, context, tokenizer, max_length, stride, max_answer_length)


def _cut(
    question: str, context: str, tokenizer: Any, max_length: int, stride: int | None, max_answer_length: int
) -> QuestionWindows:
    options = {"return_offsets_mapping": True, "return_token_type_ids": True}
    encoded = tokenizer(question, context, verbose=False, **options)
    length = len(encoded["input_ids"])
    num_context = encoded.sequence_ids(0).count(1)
    if not num_context:
        raise DataError(f"the tokenizer finds no token in the context {context[:40]!r}")
    if length > max_length:
        overlap = _overlap(max_length - (length - num_context), length - num_context, stride, max_answer_length)
        encoded = tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=max_length,
            stride=overlap,
            return_overflowing_tokens=True,
            **options,
        )
    return _collected(encoded, tokenizer.model_input_names, is_one=length <= max_length)


def _overlap(room: int, num_others: int, stride: int | None, max_answer_length: int) -> int:
    """Tokens that neighbours share; unless given, enough for the longest answer, and at most half of the room."""
    if room < 1:
        raise DataError(
            f"the question takes {num_others} tokens with the special ones, and a window has {room + num_others}, so "
            f"nothing of the context fits behind it. Shorten the question or raise max_length."
        )
    if stride is None:
        return min(max(_STRIDE, max_answer_length), room // 2)
    if stride >= room:
        raise ConfigError(
            f"stride must be below the {room} tokens of context that fit into a window behind this question, got "
            f"{stride}; else windows do not go forward"
        )
    return stride


def _collected(encoded: Any, names: list[str], *, is_one: bool) -> QuestionWindows:
    inputs = {name: [encoded[name]] if is_one else encoded[name] for name in sorted(_INPUTS & encoded.keys())}
    if "token_type_ids" not in names and not any(map(any, inputs["token_type_ids"])):
        del inputs["token_type_ids"]  # a tokenizer that knows none; a model may make its own
    all_offsets = [encoded["offset_mapping"]] if is_one else encoded["offset_mapping"]
    firsts, offsets = [], []
    for index, pairs in enumerate(all_offsets):
        sequences = encoded.sequence_ids(index)
        first = sequences.index(1)
        firsts.append(first)
        offsets.append(np.array(pairs[first : first + sequences.count(1)], dtype=np.int64).reshape(-1, 2))
    return QuestionWindows(inputs, firsts, offsets)
