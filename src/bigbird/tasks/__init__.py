"""What to learn: encode, collate, loss, predict, score."""

from bigbird.tasks.base import Batch, Example, Loss, Prediction, Task
from bigbird.tasks.bin_classification import BinClassification, BinLabels
from bigbird.tasks.classification import Classification, SequenceLabels
from bigbird.tasks.masked_lm import MaskedLM
from bigbird.tasks.masked_scores import MaskedScore
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.token_classification import TokenClassification, TokenLabels

AnyTask = BinClassification | Classification | MaskedLM | TokenClassification

TASKS: dict[str, type[AnyTask]] = {
    "bin-classification": BinClassification,
    "classification": Classification,
    "masked-lm": MaskedLM,
    "token-classification": TokenClassification,
}

__all__ = [
    "TASKS",
    "AnyTask",
    "Batch",
    "BinClassification",
    "BinLabels",
    "Classification",
    "Estimate",
    "Example",
    "Loss",
    "MaskedLM",
    "MaskedScore",
    "Prediction",
    "SequenceLabels",
    "Task",
    "TokenClassification",
    "TokenLabels",
]
