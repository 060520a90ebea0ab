"""Extractive question answering over documents of any length, as a pipeline of transformers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.errors import ConfigError, DataError
from bigbird.interop.transformers_library import part
from bigbird.interop.transformers_windows import accepted, cut, longest_input
from bigbird.tasks.answers import AnswerWindow, best_answers

part()  # of a version that we know

from transformers.pipelines.base import ChunkPipeline

_FOR_WINDOWS = ("max_length", "stride", "max_answer_length")
_FOR_ANSWERS = ("top_k", "max_answer_length", "handle_impossible_answer")


@dataclass(frozen=True)
class _Window:
    """What a window's logits are read with; transformers hands such an object on as it is."""

    context: str
    length: int
    no_answer: int
    first: int
    offsets: NDArray[np.int64]


class QuestionAnsweringPipeline(ChunkPipeline):
    """Finds answers in documents of any length.

        pipe(question="…", context="…")         or a dict of the two, or a list or tuple of such dicts

    top_k                     answers per question, the best first
    max_answer_length         tokens of an answer
    handle_impossible_answer  whether "" (start and end 0) may be the answer
    max_length                tokens of a window; the most that the model reads unless given
    stride                    tokens that two windows share. Only documents that do not fit are cut. Unless given it
                              is enough for every answer of `max_answer_length` to stand whole in some window
    batch_size                windows at once
    Returns                   {"score", "start", "end", "answer"} with context[start:end] == answer; a list of at most
                              `top_k` such if top_k is above 1; a list of these for a list of inputs
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not getattr(self.tokenizer, "is_fast", False):
            raise ConfigError(
                f"answers need a tokenizer that knows which characters a token covers (is_fast), got "
                f"{type(self.tokenizer).__name__}. PreTrainedTokenizerFast(tokenizer_file='tokenizer.json') is one."
            )

    def __call__(self, inputs: Any = None, *, question: Any = None, context: Any = None, **options: Any) -> Any:
        """Answer one question, or each of a list; options are those of the class."""
        if inputs is not None and (question is not None or context is not None):
            raise ConfigError("inputs and question or context were both given; give one or the other")
        examples = _examples(question, context) if inputs is None else inputs
        if isinstance(examples, tuple):
            examples = list(examples)
        return [] if examples == [] else super().__call__(examples, **options)

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        _check_names(options, (*_FOR_WINDOWS, "top_k", "handle_impossible_answer"))
        for name, least in {"top_k": 1, "max_answer_length": 1, "max_length": 1, "stride": 0}.items():
            may_be_none = name in ("max_length", "stride")
            value = options.get(name, None if may_be_none else least)
            if value is None and may_be_none:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
        return _chosen(options, _FOR_WINDOWS), {}, _chosen(options, _FOR_ANSWERS)

    def preprocess(
        self,
        inputs: Mapping[str, str],
        max_length: int | None = None,
        stride: int | None = None,
        max_answer_length: int = 15,
    ) -> Iterator[dict[str, Any]]:
        """One dict of tensors [1, length] per window."""
        question, context = _checked(inputs)
        windows = cut(
            question,
            context,
            self.tokenizer,
            max_length=self._window(max_length),
            stride=stride,
            max_answer_length=max_answer_length,
        )
        first_token = self.tokenizer.cls_token_id
        for index, ids in enumerate(windows.encoding["input_ids"]):
            tensors = {name: torch.tensor([rows[index]]) for name, rows in windows.encoding.items()}
            no_answer = ids.index(first_token) if first_token in ids else 0
            seen = _Window(context, len(ids), no_answer, windows.firsts[index], windows.offsets[index])
            yield {"is_last": index == len(windows.firsts) - 1, "window": seen, **tensors}

    def _forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        out = self.model(**accepted(inputs, self.model))
        if not hasattr(out, "start_logits"):
            raise ConfigError(
                f"answers need a question-answering model such as BertForQuestionAnswering, got "
                f"{type(self.model).__name__}, which gives {', '.join(out)}"
            )
        return {
            "start": out.start_logits,
            "end": out.end_logits,
            "window": inputs["window"],
            "is_last": inputs["is_last"],
        }

    def postprocess(
        self,
        outputs: list[dict[str, Any]],
        top_k: int = 1,
        max_answer_length: int = 15,
        handle_impossible_answer: bool = False,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The answers of one document out of the logits of its windows."""
        answers = best_answers(
            outputs[0]["window"].context,
            [self._read(**output) for output in outputs],
            top_k=top_k,
            max_answer_length=max_answer_length,
            may_be_impossible=handle_impossible_answer,
        )
        if top_k > 1:
            return answers
        return answers[0] if answers else {"score": 0.0, "start": 0, "end": 0, "answer": ""}

    def _read(self, *, start: torch.Tensor, end: torch.Tensor, window: _Window, **_: Any) -> AnswerWindow:
        """Logits without the padding that a batch has added."""
        part = slice(-window.length, None) if self.tokenizer.padding_side == "left" else slice(window.length)
        starts, ends = (logits[0, part].double().numpy() for logits in (start, end))
        if np.isnan(starts).any() or np.isnan(ends).any() or np.isposinf(starts).any() or np.isposinf(ends).any():
            raise DataError(
                "the model gives logits that are no numbers (NaN) or endless for this document, so no answer can be "
                "told from another. Its weights are damaged, or too large for their number type; try float32."
            )
        return AnswerWindow(starts, ends, window.no_answer, window.first, window.offsets)

    def _window(self, max_length: int | None) -> int:
        """Tokens of a window."""
        longest = longest_input(self.model, self.tokenizer)
        if max_length is None and longest is None:
            raise ConfigError("neither the model nor its tokenizer says how many tokens it reads; give max_length")
        if max_length is not None and longest is not None and max_length > longest:
            raise ConfigError(f"max_length must be at most {longest}, which the model reads, got {max_length}")
        return max_length or longest or 0


def _examples(question: Any, context: Any) -> Any:
    if question is None or context is None:
        raise ConfigError("give question and context, or a dict of the two, or a list of such dicts")
    if not isinstance(question, list) and not isinstance(context, list):
        return {"question": question, "context": context}
    questions = question if isinstance(question, list) else [question] * len(context)
    contexts = context if isinstance(context, list) else [context] * len(questions)
    if len(questions) != len(contexts):
        raise ConfigError(f"{len(questions)} questions and {len(contexts)} contexts were given; give as many of each")
    return [{"question": one, "context": other} for one, other in zip(questions, contexts, strict=True)]


def _checked(example: Any) -> tuple[str, str]:
    if not isinstance(example, Mapping) or not {"question", "context"} <= example.keys():
        raise DataError(f"an input must be a dict with question and context, got {example!r:.200}")
    for name in ("question", "context"):
        if not isinstance(example[name], str) or not example[name].strip():
            raise DataError(f"the {name} must be a text with at least one letter, got {example[name]!r:.200}")
    return example["question"], example["context"]


def _check_names(options: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in options.keys() - set(known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"there is no option {name!r}.{hint} Options: {', '.join(known)}")


def _chosen(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}
