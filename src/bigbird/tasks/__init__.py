"""What to learn: encode, collate, loss, predict, score."""

from bigbird.tasks.base import Batch, Example, Loss, Prediction, Task
from bigbird.tasks.bin_classification import BinClassification, BinLabels
from bigbird.tasks.classification import Classification, SequenceLabels
from bigbird.tasks.masked_lm import MaskedLM
from bigbird.tasks.masked_scores import MaskedScore
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.multi_hop_decoding import MultiHopReading
from bigbird.tasks.multi_hop_qa import MultiHopQA
from bigbird.tasks.span_decoding import SpanAnswer, SpanAnswers
from bigbird.tasks.span_qa import SpanQA
from bigbird.tasks.token_classification import TokenClassification, TokenLabels

AnyTask = BinClassification | Classification | MaskedLM | MultiHopQA | SpanQA | TokenClassification
QuestionTask = MultiHopQA | SpanQA  # they begin from a model of text and need a window whole

TASKS: dict[str, type[AnyTask]] = {
    "bin-classification": BinClassification,
    "classification": Classification,
    "masked-lm": MaskedLM,
    "multi-hop-qa": MultiHopQA,
    "span-qa": SpanQA,
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
    "MultiHopQA",
    "MultiHopReading",
    "Prediction",
    "QuestionTask",
    "SequenceLabels",
    "SpanAnswer",
    "SpanAnswers",
    "SpanQA",
    "Task",
    "TokenClassification",
    "TokenLabels",
]
