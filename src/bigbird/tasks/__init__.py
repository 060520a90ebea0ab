"""What to learn: encode, collate, loss, predict, score."""

from bigbird.tasks.base import Batch, Example, Loss, Prediction, Task
from bigbird.tasks.classification import Classification, SequenceLabels
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.token_classification import TokenClassification, TokenLabels

TASKS: dict[str, type[Classification] | type[TokenClassification]] = {
    "classification": Classification,
    "token-classification": TokenClassification,
}

__all__ = [
    "TASKS",
    "Batch",
    "Classification",
    "Estimate",
    "Example",
    "Loss",
    "Prediction",
    "SequenceLabels",
    "Task",
    "TokenClassification",
    "TokenLabels",
]
