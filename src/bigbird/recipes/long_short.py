"""Runs that learn to find long and short answers on pages."""

from __future__ import annotations

from dataclasses import replace

from bigbird.data.long_short_data import LongShortData
from bigbird.recipes.reading import BASE, small_run
from bigbird.run import RunConfig
from bigbird.tasks import LongShortQA


def answers() -> RunConfig:
    """Long and short answers, in a size that a CPU trains: begin from a small model of text, start=FOLDER.

    Questions are of Natural Questions' form.
    """
    return small_run("long_short.answers", LongShortQA(), LongShortData(), watch="long_f1")


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
        start=BASE,
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
