"""BigBird: sparse-attention transformers for long documents and genomes (Zaheer et al. 2020).

Attention     PatternSpec, BlockPattern, pack_patterns, DocumentLayout, block_sparse_attention
Models        EncoderConfig, Encoder, BinClassifier, SequenceClassifier, TokenClassifier, dimensions
Text          TextTokenizer
DNA           Genome, Interval, DnaTokenizer, read_bed, read_annotation
Records       Record, Span, read_records
Tasks         BinClassification, Classification, TokenClassification
Use           Predictor, Reader, Summarizer, load_model, save_model, packaged_models
Training      RunConfig, Scratch, TrainingConfig, train
Errors        BigBirdError and its kinds in bigbird.errors

Names are imported when first used, so that `import bigbird` is quick.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_HOME = {
    "BigBirdError": "errors",
    "BinClassification": "tasks",
    "BinClassifier": "model.heads",
    "BlockPattern": "attention",
    "Classification": "tasks",
    "DnaTokenizer": "tokenizers",
    "DocumentLayout": "attention",
    "Encoder": "model.encoder",
    "EncoderConfig": "model.encoder",
    "Genome": "data.genome",
    "Interval": "data.intervals",
    "PatternSpec": "attention",
    "Predictor": "predictor",
    "Reader": "reading.reader",
    "Record": "data.records",
    "RunConfig": "run",
    "Scratch": "run",
    "SequenceClassifier": "model.heads",
    "Span": "data.records",
    "Summarizer": "summarizing.summarizer",
    "TextTokenizer": "tokenizers",
    "TokenClassification": "tasks",
    "TokenClassifier": "model.heads",
    "TrainingConfig": "training.trainer",
    "block_sparse_attention": "attention",
    "dimensions": "model.sizes",
    "load_model": "checkpoint",
    "pack_patterns": "attention",
    "packaged_models": "checkpoint",
    "read_annotation": "data.intervals",
    "read_bed": "data.intervals",
    "read_records": "data.records",
    "save_model": "checkpoint",
    "train": "run",
}

__all__ = sorted(_HOME)  # noqa: PLE0605  one list, not two


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'bigbird' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bigbird.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
