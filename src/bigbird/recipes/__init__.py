"""Runs by name. A recipe is a function that returns a `RunConfig`; `--set` changes its values."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import cast

from bigbird.errors import ConfigError
from bigbird.run import RunConfig

RECIPES = {
    "choice.candidates": "One of several candidates as the answer, by documents of any length (WikiHop's form)",
    "choice.wikihop_base": "The same at the paper's base size and settings for WikiHop, for GPUs",
    "genomics.chromatin": "Proteins and marks in every 200 bases of a genome, from peaks (BED, narrowPeak)",
    "genomics.classification": "Labels for DNA sequences in your own files (FASTA, BED, CSV, TSV, JSONL)",
    "genomics.deepsea": "Labels of 200 bases from files in DeepSEA's layout (.mat, HDF5, CSV)",
    "genomics.pretrain": "Masked-language-model pretraining on the DNA of a genome",
    "genomics.pretrain_prepared": "The same on a corpus made by `bigbird prepare`: every base once an epoch",
    "genomics.promoter": "Start sites of genes along a genome: the promoter model that comes with bigbird",
    "genomics.promoter_contrasts": "Start sites against places that look like them, in windows of several lengths",
    "genomics.promoter_windows": "Whole windows, promoter or not, against negatives drawn from the genome every epoch",
    "long_short.answers": "The paragraph that answers a question and the words that do (Natural Questions' form)",
    "long_short.natural_questions_base": "The same at the paper's base size and settings, for GPUs",
    "multi_hop.hotpotqa_base": "The same at the paper's base size and settings for HotpotQA, for GPUs",
    "multi_hop.small": "Answers with the sentences that support them, from questions in HotpotQA's format",
    "question_answering.spans": "Answers as places in documents of any length, from questions in files of your own",
    "question_answering.triviaqa_base": "The same at the paper's base size and settings for TriviaQA, for GPUs",
    "summarization.gap_sentences": "Pretraining for summaries on any texts: their principal sentences, written again",
    "summarization.pegasus_large": "Summaries at the paper's large size and settings, for GPUs",
    "summarization.roberta_base": "Summaries at the paper's base size, encoder and decoder coupled, for GPUs",
    "summarization.small": "Summaries of documents of any length, from documents with summaries in files of your own",
    "text.pretrain": "Masked-language-model pretraining on the text of a prepared corpus, in a laptop's size",
    "text.pretrain_base": "The same in the paper's base size and settings, for GPUs",
}


def recipe(name: str) -> RunConfig:
    """The run a name stands for, with its default values."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no recipe {name!r}.{hint} Recipes: {', '.join(RECIPES)}")
    module, _, function = name.partition(".")
    make = cast(Callable[[], RunConfig], getattr(importlib.import_module(f"bigbird.recipes.{module}"), function))
    return make()
