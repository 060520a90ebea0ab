"""A question and its document as windows of tokens, with the labelled answers where they stand.

    document   t0 t1 t2 t3 t4 t5 t6 t7 t8        answer t4 t5, overlap 2
    window 0   [CLS] q q [SEP] t0 t1 t2 t3 t4 [SEP]                 a part of the answer
    window 1   [CLS] q q [SEP]          t3 t4 t5 t6 t7 [SEP]        all of it
    window 2   [CLS] q q [SEP]                   t6 t7 t8 [SEP]     none of it

An answer of up to `overlap` tokens stands whole in some window, wherever it is. For a longer one training gets a window
more, laid around it; only one that no window can hold is left out, with a warning that names it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.questions import Question
from bigbird.errors import ConfigError, DataError
from bigbird.tasks.base import Example
from bigbird.tasks.characters import covering_all, trimmed
from bigbird.tokenizers import Encoding, TextTokenizer, Tokenizer

Window = TypeVar("Window")

log = logging.getLogger(__name__)

_MOST_SPECIAL = 4  # tokens beside question and document: <s> q </s></s> d </s>
_KEPT, _KEPT_DOCUMENTS = 20, 4  # second part of the key of draws; documents are asked many questions, one by one


class DocumentTokens(NamedTuple):
    """A document without a question.

    encoding      its tokens
    starts, ends  int64 [tokens], the characters that an answer beginning or ending with the token has: whole ones, as
                  people see them, without blanks around
    may_answer    bool [tokens], False for blanks
    """

    encoding: Encoding
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    may_answer: NDArray[np.bool_]

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """The first and the last token of the smallest answer that covers characters [start, end).

        None when no token stands for any of them.
        """
        first, last = self.tokens_of_all(np.array([start]), np.array([end]))[0].tolist()
        return (first, last) if first <= last else None

    def tokens_of_all(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """`tokens_of` many places: [places, 2]; 0, -1 where no token stands for any character."""
        places = np.flatnonzero(self.may_answer)
        firsts, lasts = covering_all(self.starts[places], self.ends[places], starts, ends)
        ordered = np.append(places, 0)  # for a place behind the last token, which has none
        found = np.stack((ordered[firsts], ordered[lasts]), axis=1)
        return np.where((firsts <= lasts)[:, None], found, (0, -1))


def reader_tokenizer(tokenizer: Tokenizer) -> TextTokenizer:
    """The tokenizer, if questions can be joined with documents in it; raises else."""
    if not isinstance(tokenizer, TextTokenizer) or tokenizer.family.first is None:
        kind = tokenizer.family.name if isinstance(tokenizer, TextTokenizer) else type(tokenizer).__name__
        raise ConfigError(
            f"answers need a vocabulary of text whose first token can stand for 'no answer' (bert, roberta, bigbird), "
            f"got {kind}. Begin from a model that has one: start=FOLDER."
        )
    return tokenizer


def question_tokens(question: Question, tokenizer: TextTokenizer, *, most: int) -> Encoding:
    """The question alone; raises when it is empty or has more than `most` tokens."""
    if not question.question.strip():
        raise DataError(f"question {question.name!r} is empty; it needs a text")
    encoding = tokenizer.encode_batch([question.question], read_symbols=False)[0]
    if len(encoding.ids) > most:
        raise DataError(
            f"the question {_shortened(question.question)!r} has {len(encoding.ids):,} tokens; at most {most} are "
            f"read. Shorten it, or give a greater task.max_question_tokens"
        )
    return encoding


@lru_cache(maxsize=_KEPT_DOCUMENTS)
def document_tokens(document: str, tokenizer: TextTokenizer) -> DocumentTokens:
    """The tokens of a document; those of the last few are kept, since many questions are asked about one."""
    encoding = tokenizer.encode_batch([document], read_symbols=False)[0]
    starts, ends = trimmed(document, encoding.starts, encoding.ends)
    found = DocumentTokens(encoding, starts, ends, (starts < ends) & (encoding.starts < encoding.ends))
    for array in (*encoding, *found[1:]):
        array.setflags(write=False)
    return found


class SpanWindows(NamedTuple):
    """How a question's windows are laid.

    max_length  tokens of a window, special ones among them
    overlap     tokens of the document that neighbouring windows share
    """

    tokenizer: TextTokenizer
    max_length: int
    overlap: int

    def room(self, question: Encoding) -> int:
        """Tokens of the document that a window holds beside the question."""
        one = Encoding(*(np.zeros(1, np.int64) for _ in Encoding._fields))
        return self.max_length - len(self.tokenizer.join(question, one).ids) + 1

    def places(self, num_tokens: int, room: int) -> list[int]:
        """Where each window begins, in tokens of the document."""
        return list(range(0, max(num_tokens - self.overlap, 1), room - self.overlap))

    def example(self, document: DocumentTokens, question: Encoding, index: int, first: int) -> Example:
        """The window that begins at token `first`; targets are all 0.

        targets       [length, 2], 1 where an answer begins, and where one ends
        weights       [length], 1 where an answer may begin or end, and at the first token, which stands for none
        starts, ends  -1 for what is not of the document
        """
        part = slice(first, first + self.room(question))
        joined = self.tokenizer.join(question, Encoding(*(column[part] for column in document.encoding)))
        is_document = joined.parts == 1
        starts, ends = (np.full(len(joined.ids), -1) for _ in range(2))
        starts[is_document], ends[is_document] = document.starts[part], document.ends[part]
        weights = np.zeros(len(joined.ids), np.float32)
        weights[is_document], weights[0] = document.may_answer[part], 1
        targets = np.zeros((len(joined.ids), 2), np.float32)
        return Example(
            index, joined.ids, starts, ends, targets, weights, token_types=joined.token_types, first_token=first
        )


class Reading(NamedTuple):
    """A question and its document as tokens, and how its windows are laid."""

    windows: SpanWindows
    question: Encoding
    document: DocumentTokens

    def every_window(self, index: int) -> list[Example]:
        """Those of record `index` from the document's first token to its last, see `SpanWindows.example`."""
        firsts = self.windows.places(len(self.document.encoding.ids), self.windows.room(self.question))
        return [self.windows.example(self.document, self.question, index, first) for first in firsts]


def reading_of(
    record: Question, tokenizer: Tokenizer, *, max_length: int, overlap: int, max_question_tokens: int
) -> Reading:
    """Raises for a question or a document that cannot be read."""
    known = reader_tokenizer(tokenizer)
    question = question_tokens(record, known, most=max_question_tokens)
    document = document_tokens(record.document, known)
    if not document.may_answer.any():
        raise DataError(f"the document of question {record.name or record.question!r} holds no text")
    return Reading(SpanWindows(known, max_length, overlap), question, document)


def check_sizes(*, max_length: int, overlap: int, max_answer_tokens: int, max_question_tokens: int) -> None:
    """Raise unless every answer stands whole in some window, and windows have room for new text."""
    if overlap < max_answer_tokens:
        raise ConfigError(
            f"task.overlap must be at least task.max_answer_tokens ({max_answer_tokens}), or answers that cross "
            f"windows could not be found, got {overlap}"
        )
    if max_length - max_question_tokens - _MOST_SPECIAL <= overlap:
        raise ConfigError(
            f"task.max_length {max_length} leaves no room for new text beside a question of {max_question_tokens} "
            f"tokens and an overlap of {overlap}; give a greater max_length, or smaller task.max_question_tokens, "
            f"task.overlap and task.max_answer_tokens"
        )


class LabelledWindows(NamedTuple):
    """For training: the windows with answers in them, those that hold no part of any, and those that only cut some."""

    having: list[Example]
    empty: list[Example]
    partial: list[Example]


def labelled(reading: Reading, record: Question, index: int) -> LabelledWindows:
    """The windows of a question, with one more around an answer that none of them holds whole."""
    windows, question, document = reading
    room, num_tokens = windows.room(question), len(document.encoding.ids)
    answers = _answers(document, record, room)
    firsts = windows.places(num_tokens, room)
    for first, last in answers:
        if last - first < room and not any(place <= first and last < place + room for place in firsts):
            firsts.append(max(0, min((first + last + 1 - room) // 2, num_tokens - room)))
    found = LabelledWindows([], [], [])
    for place in sorted(firsts):
        example = windows.example(document, question, index, place)
        inside = [(first, last) for first, last in answers if place <= first and last < place + room]
        context = int(np.flatnonzero(example.starts >= 0)[0])
        for first, last in inside:
            example.targets[context + first - place, 0] = example.targets[context + last - place, 1] = 1
        is_cut = any(first < place + room and place <= last for first, last in answers)
        (found.having if inside else found.partial if is_cut else found.empty).append(example)
    return found


def with_global_question(example: Example) -> Example:
    """The window with all that stands before the document global, special tokens among it."""
    return example._replace(global_tokens=int(np.flatnonzero(example.starts >= 0)[0]))


def kept(windows: Sequence[Window], most: int, draw: int, kind: int) -> list[Window]:
    """At most so many of the windows, or of their places, drawn by `draw`, in the document's order."""
    chosen = randomness.permutation(len(windows), draw, _KEPT, kind)[:most]
    return [windows[place] for place in sorted(chosen.tolist())]


def _answers(document: DocumentTokens, record: Question, room: int) -> list[tuple[int, int]]:
    """First and last token of every labelled answer; what cannot be learned is told."""
    found = []
    for start, end in record.answers:
        tokens = document.tokens_of(start, end)
        if tokens is None:
            _tell(record.name, start, end, "the vocabulary has no tokens for it")
            continue
        found.append(tokens)
        if tokens[1] - tokens[0] >= room:
            _tell(record.name, start, end, f"it has {tokens[1] - tokens[0] + 1:,} tokens, a window holds {room:,}")
    return found


@lru_cache(maxsize=10_000)  # each is told once, not in every epoch
def _tell(name: str, start: int, end: int, why: str) -> None:
    log.warning("question %r: the answer at characters %d to %d is not learned: %s", name, start, end, why)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]} …"
