"""Questions that are shown every epoch, each time with a new key for what a task draws of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from bigbird import randomness
from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.long_short_questions import LongShortQuestion

Asked = TypeVar("Asked", ChoiceQuestion, LongShortQuestion)


@dataclass(frozen=True)
class DrawnQuestions(Generic[Asked]):
    """The same questions every epoch; `draw` of each is another one each time."""

    questions: Sequence[Asked]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.questions)

    def record(self, index: int, *, epoch: int) -> Asked:
        """See `RecordSource`."""
        return replace(self.questions[index], draw=randomness.derived_seed(self.seed, epoch, index))
