"""What runs that learn to answer questions or to sum up share; the recipes themselves are in files of their own."""

from __future__ import annotations

from bigbird.attention import PatternSpec
from bigbird.data.sources import DataConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import QuestionTask, Summarization
from bigbird.training.settings import TrainingConfig

# The paper's base size; begin from BigBird's or RoBERTa's weights instead, start=FOLDER.
BASE = Scratch(
    encoder=EncoderConfig(
        vocab_size=50_358, **dimensions("base"), num_token_types=2, pattern=PatternSpec(block_size=64)
    )
)


def small_run(recipe: str, task: QuestionTask | Summarization, data: DataConfig, *, watch: str) -> RunConfig:
    """In a size that a CPU trains: begin from a small model of text, start=FOLDER. `watch`: the figure to keep by."""
    return RunConfig(
        recipe=recipe,
        start=Scratch(encoder=EncoderConfig(vocab_size=4096, **dimensions("mini"), pattern=PatternSpec(block_size=64))),
        task=task,
        data=data,
        training=TrainingConfig(
            num_steps=2000,
            batch_size=8,
            micro_batch_size=1,
            learning_rate=5e-5,
            warmup_steps=200,
            weight_decay=0.01,
            precision="bfloat16",
            evaluate_every=250,
            watch=watch,
            save_every=125,
        ),
    )
