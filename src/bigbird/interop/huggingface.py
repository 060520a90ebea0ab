"""BigBird in Hugging Face's layout: config.json and model.safetensors, read and written without transformers.

Folders of model_type "big_bird" give an encoder or a model with a head, those of "bigbird_pegasus" their encoder.

    encoder = load_encoder("bigbird-roberta-base")
    model = load_masked_lm("bigbird-roberta-base", graph="transformers-eval")
    save(model, "mine", like="bigbird-roberta-base")

graph  "checkpoint": the random blocks the weights were trained with
       "transformers-train", "transformers-eval": those transformers 5.23 computes with in each mode, for parity

A model comes in evaluation mode, in the number type of its file. A head's folder gives its encoder too.
"""

from __future__ import annotations

from pathlib import Path

from bigbird.interop.huggingface_reading import load
from bigbird.interop.huggingface_settings import HubGraph
from bigbird.interop.huggingface_writing import save
from bigbird.model.encoder import Encoder
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader

__all__ = [
    "load_encoder",
    "load_masked_lm",
    "load_multiple_choice",
    "load_pretraining",
    "load_question_answering",
    "load_sequence_classifier",
    "load_token_classifier",
    "save",
]


def load_encoder(folder: str | Path, graph: HubGraph = "checkpoint") -> Encoder:
    """BigBirdModel or BigBirdPegasusModel, or the encoder of a model with a head.

    Pooler, decoder and head are left behind; `save` with `like` brings them back.
    """
    return load(folder, graph, Encoder)


def load_masked_lm(folder: str | Path, graph: HubGraph = "checkpoint") -> MaskedLanguageModel:
    """BigBirdForMaskedLM; also out of a folder of BigBirdForPreTraining."""
    return load(folder, graph, MaskedLanguageModel)


def load_question_answering(folder: str | Path, graph: HubGraph = "checkpoint") -> SpanReader:
    """BigBirdForQuestionAnswering."""
    return load(folder, graph, SpanReader)


def load_sequence_classifier(folder: str | Path, graph: HubGraph = "checkpoint") -> FirstTokenClassifier:
    """BigBirdForSequenceClassification."""
    return load(folder, graph, FirstTokenClassifier)


def load_token_classifier(folder: str | Path, graph: HubGraph = "checkpoint") -> TokenClassifier:
    """BigBirdForTokenClassification."""
    return load(folder, graph, TokenClassifier)


def load_multiple_choice(folder: str | Path, graph: HubGraph = "checkpoint") -> ChoiceScorer:
    """BigBirdForMultipleChoice."""
    return load(folder, graph, ChoiceScorer)


def load_pretraining(folder: str | Path, graph: HubGraph = "checkpoint") -> PretrainingModel:
    """BigBirdForPreTraining."""
    return load(folder, graph, PretrainingModel)
