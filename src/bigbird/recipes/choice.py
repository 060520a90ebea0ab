"""Runs that learn to choose among candidates."""

from __future__ import annotations

from dataclasses import replace

from bigbird.data.choice_data import ChoiceData
from bigbird.recipes.reading import BASE, small_run
from bigbird.run import RunConfig
from bigbird.tasks import ChoiceQA


def candidates() -> RunConfig:
    """The right one of several candidates, in a size that a CPU trains: begin from a small model of text, start=FOLDER.

    Questions are of WikiHop's form.
    """
    return small_run("choice.candidates", ChoiceQA(), ChoiceData(), watch="accuracy")


def wikihop_base() -> RunConfig:
    """WikiHop at the paper's base size, for GPUs; begin from BigBird's or RoBERTa's weights, start=FOLDER.

    Batch 64: Zaheer et al. 2020, table 12, whose 128 global tokens are here all tokens of question and candidates.
    Table 13 has, for the large model alone, 5 or 10 epochs at a learning rate of 2e-5 or 5e-5, with LAMB; here it is
    AdamW at 3e-5, the recipe's own choice, for 10 epochs of the 43,738 questions, a tenth of them warming up.
    """
    usual = candidates()
    return replace(
        usual,
        recipe="choice.wikihop_base",
        start=BASE,
        training=replace(
            usual.training,
            num_steps=6_840,
            batch_size=64,
            micro_batch_size=2,
            learning_rate=3e-5,
            warmup_steps=684,
            evaluate_every=500,
            save_every=500,
        ),
    )
