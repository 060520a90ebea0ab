"""Runs that learn to answer questions."""

from __future__ import annotations

from dataclasses import replace

from bigbird.data.question_files import QuestionData
from bigbird.recipes.reading import BASE, small_run
from bigbird.run import RunConfig
from bigbird.tasks import SpanQA


def spans() -> RunConfig:
    """Answers as spans, in a size that a CPU trains: begin from a small model of text, start=FOLDER."""
    return small_run("question_answering.spans", SpanQA(), QuestionData(), watch="f1")


def triviaqa_base() -> RunConfig:
    """TriviaQA at the paper's base size, for GPUs; begin from BigBird's or RoBERTa's weights, start=FOLDER.

    Batch 32, 128 global tokens and answers of up to 16 tokens, every place of an answer a right one: Zaheer et al.
    2020, table 12. What the paper leaves open is TensorFlow Model Garden's for this task (projects/bigbird):
    learning rate 1e-5, 51,000 steps, 5,000 of them warming up, weight decay 0.1.
    """
    usual = spans()
    return replace(
        usual,
        recipe="question_answering.triviaqa_base",
        start=BASE,
        task=SpanQA(max_answer_tokens=16, overlap=128, none_allowed=False),
        training=replace(
            usual.training,
            num_steps=51_000,
            batch_size=32,
            micro_batch_size=2,
            learning_rate=1e-5,
            warmup_steps=5_000,
            weight_decay=0.1,
            evaluate_every=1000,
            save_every=1000,
        ),
    )
