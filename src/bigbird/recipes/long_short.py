"""Runs that learn to find long and short answers on pages."""

from __future__ import annotations

from dataclasses import replace

from bigbird.attention import PatternSpec
from bigbird.data.long_short_data import LongShortData
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import LongShortQA
from bigbird.training.settings import TrainingConfig


def answers() -> RunConfig:
    """Long and short answers, in a size that a CPU trains: begin from a small model of text, start=FOLDER.

    Questions are of Natural Questions' form.
    """
    return RunConfig(
        recipe="long_short.answers",
        start=Scratch(encoder=EncoderConfig(vocab_size=4096, **dimensions("mini"), pattern=PatternSpec(block_size=64))),
        task=LongShortQA(),
        data=LongShortData(),
        training=TrainingConfig(
            num_steps=2000,
            batch_size=8,
            micro_batch_size=1,
            learning_rate=5e-5,
            warmup_steps=200,
            weight_decay=0.01,
            precision="bfloat16",
            evaluate_every=250,
            watch="long_f1",
            save_every=125,
        ),
    )


def natural_questions_base() -> RunConfig:
    """Natural Questions at the paper's base size, for GPUs; begin from BigBird's or RoBERTa's weights, start=FOLDER.

    Batch 128: Zaheer et al. 2020, table 12, whose 128 global tokens are here all tokens of the question; windows 2,048
    tokens apart: appendix E.2. Table 13 has, for the large model alone, 3 or 5 epochs at a learning rate of 5e-5 or
    1e-4; here it is 5e-5 for 3 epochs of the 307,373 questions, a tenth of them warming up, which is the recipe's own.
    """
    usual = answers()
    return replace(
        usual,
        recipe="long_short.natural_questions_base",
        start=Scratch(
            encoder=EncoderConfig(
                vocab_size=50_358, **dimensions("base"), num_token_types=2, pattern=PatternSpec(block_size=64)
            )
        ),
        training=replace(
            usual.training,
            num_steps=7_200,
            batch_size=128,
            micro_batch_size=2,
            learning_rate=5e-5,
            warmup_steps=720,
            evaluate_every=600,
            save_every=600,
        ),
    )
