"""What to learn: encode, collate, loss, predict, score."""

from bigbird.tasks.base import Batch, Example, Loss, Prediction, Task
from bigbird.tasks.bin_classification import BinClassification, BinLabels
from bigbird.tasks.choice_qa import ChoiceAnswer, ChoiceQA
from bigbird.tasks.classification import Classification, SequenceLabels
from bigbird.tasks.long_short_decoding import LongShortReading
from bigbird.tasks.long_short_qa import LongShortQA
from bigbird.tasks.masked_lm import MaskedLM
from bigbird.tasks.masked_scores import MaskedScore
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.multi_hop_decoding import MultiHopReading
from bigbird.tasks.multi_hop_qa import MultiHopQA
from bigbird.tasks.span_decoding import SpanAnswer, SpanAnswers
from bigbird.tasks.span_qa import SpanQA
from bigbird.tasks.summarization import Summarization, WrittenSummary
from bigbird.tasks.token_classification import TokenClassification, TokenLabels

QuestionTask = ChoiceQA | LongShortQA | MultiHopQA | SpanQA  # what is asked about texts
AnyTask = BinClassification | Classification | MaskedLM | QuestionTask | Summarization | TokenClassification

TASKS: dict[str, type[AnyTask]] = {
    "bin-classification": BinClassification,
    "choice-qa": ChoiceQA,
    "classification": Classification,
    "long-short-qa": LongShortQA,
    "masked-lm": MaskedLM,
    "multi-hop-qa": MultiHopQA,
    "span-qa": SpanQA,
    "summarization": Summarization,
    "token-classification": TokenClassification,
}

__all__ = [
    "TASKS",
    "AnyTask",
    "Batch",
    "BinClassification",
    "BinLabels",
    "ChoiceAnswer",
    "ChoiceQA",
    "Classification",
    "Estimate",
    "Example",
    "LongShortQA",
    "LongShortReading",
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
    "Summarization",
    "Task",
    "TokenClassification",
    "TokenLabels",
    "WrittenSummary",
]
