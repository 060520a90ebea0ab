"""Runs that learn to answer questions."""

from __future__ import annotations

from dataclasses import replace

from bigbird.attention import PatternSpec
from bigbird.data.question_files import QuestionData
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import SpanQA
from bigbird.training.settings import TrainingConfig


def spans() -> RunConfig:
    """Answers as spans, in a size that a CPU trains: begin from a small model of text, start=FOLDER."""
    return RunConfig(
        recipe="question_answering.spans",
        start=Scratch(encoder=EncoderConfig(vocab_size=4096, **dimensions("mini"), pattern=PatternSpec(block_size=64))),
        task=SpanQA(),
        data=QuestionData(),
        training=TrainingConfig(
            num_steps=2000,
            batch_size=8,
            micro_batch_size=1,
            learning_rate=5e-5,
            warmup_steps=200,
            weight_decay=0.01,
            precision="bfloat16",
            evaluate_every=250,
            watch="f1",
            save_every=125,
        ),
    )


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
        start=Scratch(
            encoder=EncoderConfig(
                vocab_size=50_358, **dimensions("base"), num_token_types=2, pattern=PatternSpec(block_size=64)
            )
        ),
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
