"""Runs that learn to write summaries of documents."""

from __future__ import annotations

from dataclasses import replace

from bigbird.attention import PatternSpec
from bigbird.data.gap_data import GapData
from bigbird.data.summary_data import SummaryData
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.recipes.reading import BASE, small_run
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import Summarization
from bigbird.tasks.summarization import PAPER_SEARCH
from bigbird.training.optimizer import OptimizerKind
from bigbird.training.settings import TrainingConfig

# Pegasus' large size (Zhang et al. 2020) with BigBird's encoder: google-research/bigbird, pegasus_large.sh.
_PEGASUS_LARGE = EncoderConfig(
    vocab_size=96_103,
    hidden_size=1024,
    num_layers=16,
    num_heads=16,
    inner_size=4096,
    positions="sinusoidal",
    norm="pre",
    activation="relu",
    layer_norm_eps=1e-5,
    scale_embeddings=True,
    embedding_norm=False,
    attention_bias=False,
    pattern=PatternSpec(block_size=64),
)


def small() -> RunConfig:
    """Summaries, in a size that a CPU trains: begin from a small model of text, start=FOLDER.

    The decoder begins as the encoder does (BERT2BERT: Rothe et al. 2020); three beams, no three words twice.
    """
    search = replace(PAPER_SEARCH, num_beams=3, min_new_tokens=16, no_repeat_ngram_size=3)
    run = small_run("summarization.small", Summarization(generation=search), SummaryData(), watch="loss")
    return replace(run, training=replace(run.training, learning_rate=1e-4, evaluate_every=500))


def gap_sentences() -> RunConfig:
    """Pretraining for summaries on texts without any: the sentences that tell most are taken out and written again.

    Pegasus' objective (Zhang et al. 2020, section 3.1, the settings of its large model) with a sparse encoder; begin
    from a small model of text, start=FOLDER, and let `summarization.small` go on from the result.
    """
    return replace(
        small(),
        recipe="summarization.gap_sentences",
        task=Summarization(generation=replace(PAPER_SEARCH, num_beams=1)),
        data=GapData(),
    )


def roberta_base() -> RunConfig:
    """The paper's base size, encoder and decoder coupled, for GPUs; begin from RoBERTa's or BigBird's weights.

    Documents of 3,072 tokens, summaries of 256, batch 128, Adam at 1e-5 with 10,000 steps of warm-up and then the
    inverse square root (Zaheer et al. 2020, table 17). How many steps the paper leaves open: ours are 100,000.
    """
    return replace(
        small(),
        recipe="summarization.roberta_base",
        start=BASE,
        task=Summarization(
            max_length=3072,
            decoder=DecoderConfig(is_coupled=True),
        ),
        training=_paper_training(learning_rate=1e-5, optimizer="adamw"),
    )


def pegasus_large() -> RunConfig:
    """The paper's large size, for GPUs; begin from BigBirdPegasus' or Pegasus' weights, start=FOLDER.

    As `roberta_base`, but Adafactor at 1e-4 (Zaheer et al. 2020, table 17).
    """
    return replace(
        small(),
        recipe="summarization.pegasus_large",
        start=Scratch(encoder=_PEGASUS_LARGE),
        task=Summarization(max_length=3072),
        training=_paper_training(learning_rate=1e-4, optimizer="adafactor"),
    )


def _paper_training(*, learning_rate: float, optimizer: OptimizerKind) -> TrainingConfig:
    return TrainingConfig(
        num_steps=100_000,
        batch_size=128,
        micro_batch_size=2,
        optimizer=optimizer,
        learning_rate=learning_rate,
        warmup_steps=10_000,
        schedule="inverse-square-root",
        precision="bfloat16",
        evaluate_every=1000,
        save_every=1000,
    )
