"""Runs that learn to choose among candidates."""

from __future__ import annotations

from dataclasses import replace

from bigbird.attention import PatternSpec
from bigbird.data.choice_data import ChoiceData
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import ChoiceQA
from bigbird.training.settings import TrainingConfig


def candidates() -> RunConfig:
    """The right one of several candidates, in a size that a CPU trains: begin from a small model of text, start=FOLDER.

    Questions are of WikiHop's form.
    """
    return RunConfig(
        recipe="choice.candidates",
        start=Scratch(encoder=EncoderConfig(vocab_size=4096, **dimensions("mini"), pattern=PatternSpec(block_size=64))),
        task=ChoiceQA(),
        data=ChoiceData(),
        training=TrainingConfig(
            num_steps=2000,
            batch_size=8,
            micro_batch_size=1,
            learning_rate=5e-5,
            warmup_steps=200,
            weight_decay=0.01,
            precision="bfloat16",
            evaluate_every=250,
            watch="accuracy",
            save_every=125,
        ),
    )


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
        start=Scratch(
            encoder=EncoderConfig(
                vocab_size=50_358, **dimensions("base"), num_token_types=2, pattern=PatternSpec(block_size=64)
            )
        ),
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
