"""What finds answers without having learned to: the first sentence, the place, and shared words.

Each gives a question's answers as `SpanAnswers`, the best first, with scores from 0 to 1 that rank them over questions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

from bigbird.data.questions import Question
from bigbird.data.sentences import Span, sentence_spans
from bigbird.tasks import SpanAnswer, SpanAnswers

Baseline = Callable[[Sequence[Question]], list[SpanAnswers]]

_MOST = 10
_WORD = re.compile(r"\w[\w'’\-.,/%]*\w|\w")


def first_sentence(questions: Sequence[Question]) -> list[SpanAnswers]:
    """The first sentence of the document."""
    return [_answers([(sentence_spans(one.document)[0], 0.5)]) for one in questions]


def tfidf_sentence(questions: Sequence[Question]) -> list[SpanAnswers]:
    """The sentences most like the question, by the cosine of their words' weights within the document."""
    return [_answers(_likest(one)) for one in questions]


def tfidf_phrase(questions: Sequence[Question]) -> list[SpanAnswers]:
    """Of each of those sentences the longest run of words that are neither the question's nor stop words."""
    return [_answers([(phrase(one, span), score) for span, score in _likest(one)]) for one in questions]


class Place:
    """The sentence at the place where answers of the training set to this very question mostly begin."""

    def __init__(self, train: Sequence[Question]) -> None:
        self.places: dict[str, list[float]] = {}
        self.share_answered: dict[str, list[bool]] = {}
        for one in train:
            self.share_answered.setdefault(one.question, []).append(bool(one.answers))
            self.places.setdefault(one.question, []).extend(a.start / len(one.document) for a in one.answers[:1])
        self.usual = float(np.median([place for places in self.places.values() for place in places]))

    def __call__(self, questions: Sequence[Question]) -> list[SpanAnswers]:
        """The answer's score is how many of the training documents have one."""
        found = []
        for one in questions:
            place = float(np.median(self.places.get(one.question) or [self.usual])) * len(one.document)
            spans = sentence_spans(one.document)
            span = spans[max(np.searchsorted([span.start for span in spans], place, side="right") - 1, 0)]
            found.append(_answers([(span, float(np.mean(self.share_answered.get(one.question, [True]))))]))
        return found


def phrase(question: Question, span: Span) -> Span:
    """The longest run of words that say something new."""
    known = {word.lower() for word in _WORD.findall(question.question)}
    runs: list[list[tuple[int, int]]] = [[]]
    for match in _WORD.finditer(question.document, span.start, span.end):
        word = match.group().lower()
        if word in known or word in ENGLISH_STOP_WORDS:
            runs.append([])
        else:
            runs[-1].append(match.span())
    best = max(runs, key=len)
    return Span(best[0][0], best[-1][1]) if best else span


_documents: dict[str, tuple[list[Span], TfidfVectorizer, object]] = {}


def _likest(question: Question) -> list[tuple[Span, float]]:
    document = question.document
    if document not in _documents:
        spans = sentence_spans(document)
        vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
        texts = [document[span.start : span.end] for span in spans]
        _documents[document] = (spans, vectorizer, vectorizer.fit_transform(texts))
    spans, vectorizer, matrix = _documents[document]
    scores = np.asarray((matrix @ vectorizer.transform([question.question]).T).todense()).ravel()
    best = np.argsort(-scores, kind="stable")[:_MOST]
    return [(spans[place], float(min(scores[place], 1.0))) for place in best]


def _answers(found: Sequence[tuple[Span, float]]) -> SpanAnswers:
    return SpanAnswers(tuple(SpanAnswer(span.start, span.end, score) for span, score in found), 1 - found[0][1])
