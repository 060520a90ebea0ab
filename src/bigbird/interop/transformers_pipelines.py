"""Pipelines that transformers 5 no longer has, under our names.

    import bigbird.interop.transformers

    answer = pipeline("bigbird-question-answering", model=model, tokenizer=tokenizer)
    answer(question="Who may end the contract?", context=text)        # {"score", "start", "end", "answer"}

    shorten = pipeline("bigbird-summarization", model=model, tokenizer=tokenizer)
    shorten(text, max_length=120)                                     # [{"summary_text"}]

They take any question-answering and any sequence-to-sequence model of transformers, and our own wrappers.
"""

from __future__ import annotations

from bigbird.interop.transformers_library import part
from bigbird.interop.transformers_question_answering import QuestionAnsweringPipeline
from bigbird.interop.transformers_summarization import SummarizationPipeline

part()  # of a version that we know

from transformers import AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM
from transformers.pipelines import PIPELINE_REGISTRY

__all__ = ["QuestionAnsweringPipeline", "SummarizationPipeline"]

QUESTION_ANSWERING = "bigbird-question-answering"
SUMMARIZATION = "bigbird-summarization"

for _task, _class, _auto in (
    (QUESTION_ANSWERING, QuestionAnsweringPipeline, AutoModelForQuestionAnswering),
    (SUMMARIZATION, SummarizationPipeline, AutoModelForSeq2SeqLM),
):
    PIPELINE_REGISTRY.register_pipeline(_task, _class, _auto, type="text")
    # Otherwise save_pretrained would copy our source as code to be run by whoever loads the folder.
    del _class._registered_impl  # noqa: SLF001
