"""Windows of a question whose sentences are to be judged too.

    sentences  0 0 0 1 1 1 1 1 2 2 2 2 3 3 3        overlap 3
    window 0   0 0 0 1 1 1 1 1 2                    0 and 1; of 2 too little
    window 1             1 1 1 2 2 2 2 3 3          2 and 3
    window 2                           3 3 3        3: the cut one of window 1 does not count

A sentence counts in the windows that hold the most of it: all of it, where one does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.attention import DocumentLayout
from bigbird.data.multi_hop_questions import MultiHopQuestion, Sentence
from bigbird.model.heads import Bins
from bigbird.tasks.base import Example
from bigbird.tasks.span_windows import DocumentTokens, Reading, labelled

log = logging.getLogger(__name__)

KINDS = ("span", "yes", "no")
SUPPORT, KIND = 2, 3  # columns of targets behind those of a span's start and end


def every_window(reading: Reading, record: MultiHopQuestion, index: int) -> list[Example]:
    """For prediction: `bins` of an example are numbers of sentences that count in it, see `Example`."""
    return _with_sentences(reading.every_window(index), reading.document, record.sentences)


def labelled_windows(reading: Reading, record: MultiHopQuestion, index: int) -> list[Example]:
    """For training, in the document's order.

    targets  [length, 4]: 1 where an answer begins; where one ends; at the tokens of a supporting sentence; the fourth
             is the number of the answer's kind among `KINDS` at the first token
    weights  as for prediction; 0 but for the first token in a window that cuts an answer, or where nobody knows at
             which places it stands: then there is nothing to learn of spans
    bins     nowhere a sentence where nobody knows which of them support the answer
    """
    having, empty, partial = labelled(reading, record.asked, index)
    is_place_known = bool(record.yes_no or record.asked.answers)
    unsure = partial if is_place_known else [*having, *empty, *partial]
    for example in unsure:
        example.weights[1:] = 0
    windows = sorted([*having, *empty, *partial], key=lambda example: example.first_token)
    known = _with_sentences(windows, reading.document, record.sentences if record.facts else ())
    for number in record.supporting if record.facts else ():
        if not any((example.bins == number).any() for example in known if example.bins is not None):
            _tell(record.asked.name, number)
    return [_with_targets(example, record) for example in known]


def sentence_bins(examples: Sequence[Example], layout: DocumentLayout) -> Bins:
    """The sentences of all examples, each example's in order of number."""
    places, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start, example in zip(layout.starts, examples, strict=True):
        assert example.bins is not None
        inside = np.flatnonzero(example.bins >= 0)
        inside = inside[np.argsort(example.bins[inside], kind="stable")]
        places.append(start + inside)
        sizes.append(np.unique(example.bins[inside], return_counts=True)[1])
    return Bins(torch.from_numpy(np.concatenate(places)), torch.from_numpy(np.concatenate(sizes)))


def sentences_of(example: Example) -> NDArray[np.int64]:
    """Numbers of the sentences that count in a window, ascending."""
    assert example.bins is not None
    numbers: NDArray[np.int64] = np.unique(example.bins[example.bins >= 0])
    return numbers


def _with_sentences(
    examples: Sequence[Example], document: DocumentTokens, sentences: Sequence[Sentence]
) -> list[Example]:
    of_document = _sentence_numbers(document, sentences)
    bins = []
    for example in examples:
        is_document = example.starts >= 0
        own = np.full(len(example.token_ids), -1)
        own[is_document] = of_document[example.first_token :][: int(is_document.sum())]
        bins.append(own)
    held = np.array([np.bincount(own[own >= 0], minlength=len(sentences)) for own in bins])
    counts = np.append(held == held.max(0), np.zeros((len(bins), 1), bool), axis=1)  # for number -1
    return [
        example._replace(bins=np.where(some[own], own, -1))
        for example, own, some in zip(examples, bins, counts, strict=True)
    ]


def _sentence_numbers(document: DocumentTokens, sentences: Sequence[Sentence]) -> NDArray[np.int64]:
    """The sentence that holds the first character of each token: int64 [tokens], -1 for none, and for blanks."""
    places = np.array([sentence[:2] for sentence in sentences], np.int64).reshape(-1, 2)
    order = np.argsort(places[:, 0], kind="stable")
    before = np.searchsorted(places[order, 0], document.starts, side="right") - 1
    numbers = np.append(order, -1)[before]
    ends = np.append(places[:, 1], -1)[numbers]
    return np.where(document.may_answer & (document.starts < ends), numbers, -1)


def _with_targets(example: Example, record: MultiHopQuestion) -> Example:
    assert example.bins is not None
    targets = np.pad(example.targets, ((0, 0), (0, 2)))
    targets[:, SUPPORT] = np.isin(example.bins, record.supporting)
    targets[0, KIND] = KINDS.index(record.yes_no or "span")
    return example._replace(targets=targets)


@lru_cache(maxsize=10_000)  # each is told once, not in every epoch
def _tell(name: str, number: int) -> None:
    log.warning(
        "question %r: the vocabulary has no tokens for supporting sentence %d, which is not learned", name, number
    )
