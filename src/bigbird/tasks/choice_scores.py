"""How often the right candidate is chosen, as WikiHop scores (Welbl et al. 2018, arXiv 1710.06481)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.errors import DataError
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.scored_questions import check_aligned, mean


def choice_accuracy(questions: Sequence[ChoiceQuestion], chosen: Sequence[str]) -> Estimate:
    """Share of questions, 0 to 1, whose chosen candidate is the right one, letter for letter."""
    check_aligned(questions, chosen, "choices")
    is_right = []
    for question, choice in zip(questions, chosen, strict=True):
        if not question.answer:
            raise DataError(f"the answer to question {question.name!r} is not known, so no choice can be scored")
        if choice not in question.candidates:
            raise DataError(
                f"{choice!r} is not among the {len(question.candidates)} candidates of question {question.name!r}"
            )
        is_right.append(float(choice == question.answer))
    return mean(is_right, np.arange(len(is_right)))
