"""How good answers to questions are while a reader learns: SQuAD 2.0's figures, with intervals over documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bigbird.data.questions import Question
from bigbird.tasks.answer_scores import answer_scores
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.scored_questions import document_numbers, mean
from bigbird.tasks.span_decoding import SpanAnswers


def span_scores_of(
    predictions: Sequence[SpanAnswers], records: Sequence[Question], *, none_allowed: bool
) -> dict[str, Estimate]:
    """Shares from 0 to 1: exact_match, f1 (see `answer_scores`) and, where there may be none, no_answer_accuracy.

    A reader that may say "no answer" says it where that is likelier than its best answer; then it is right if the
    question has none (both figures 1) and wrong if it has one (both 0).
    """
    bests = [prediction.best for prediction in predictions]
    told = [
        "" if best is None else question.document[best.start : best.end]
        for best, question in zip(bests, records, strict=True)
    ]
    scores = answer_scores([_with_accepted(question) for question in records], told)
    figures = {"exact_match": scores.exact, "f1": scores.f1}
    if none_allowed:
        is_right = [(best is None) == question.is_impossible for best, question in zip(bests, records, strict=True)]
        figures["no_answer_accuracy"] = mean(is_right, document_numbers(records))
    return figures


def _with_accepted(question: Question) -> Question:
    """The question with what stands at its answers, where it names no other strings."""
    texts = tuple(question.document[start:end] for start, end in question.answers)
    return question if question.accepted else replace(question, accepted=texts)
