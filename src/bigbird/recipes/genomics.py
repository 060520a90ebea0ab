"""Runs on DNA."""

from __future__ import annotations

from dataclasses import replace

from bigbird.attention import PatternSpec
from bigbird.data.genome_windows import GenomeData
from bigbird.data.prepared import PreparedData
from bigbird.data.sources import FileData
from bigbird.genomics.chromatin import ChromatinData
from bigbird.genomics.deepsea import DeepSeaData
from bigbird.genomics.promoter_records import PromoterData
from bigbird.genomics.promoter_window_data import PromoterWindowData
from bigbird.genomics.promoters import LABELS
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import BinClassification, Classification, MaskedLM, TokenClassification
from bigbird.training.settings import TrainingConfig


def classification() -> RunConfig:
    """One label (or several, task.answer="many") per DNA sequence, from files of your own."""
    return RunConfig(
        recipe="genomics.classification",
        start=Scratch(
            encoder=EncoderConfig(
                vocab_size=4096,
                **dimensions("mini"),
                positions="rotary",
                norm="pre",
                pattern=PatternSpec(block_size=32),
            )
        ),
        task=Classification(labels=(), max_length=4096, strands="both"),
        data=FileData(),
        training=TrainingConfig(
            num_steps=2000, learning_rate=3e-4, warmup_steps=100, evaluate_every=200, save_every=200, patience=5
        ),
    )


# Small enough to scan a chromosome on a laptop.
_ENCODER = EncoderConfig(
    vocab_size=4096,
    num_layers=4,
    hidden_size=192,
    num_heads=3,
    inner_size=768,
    max_length=8192,
    positions="rotary",
    norm="pre",
    pattern=PatternSpec(block_size=32),
)


def pretrain() -> RunConfig:
    """Masked language modelling on windows of a genome; a start for recipes of byte pairs (start=FOLDER)."""
    return RunConfig(
        recipe="genomics.pretrain",
        start=Scratch(encoder=replace(_ENCODER, dropout=0.0)),
        task=MaskedLM(),
        data=GenomeData(window_bp=6_000),
        training=TrainingConfig(
            num_steps=6000,
            batch_size=12,
            micro_batch_size=12,
            learning_rate=2e-3,
            warmup_steps=300,
            schedule="cosine",
            weight_decay=0.05,
            betas=(0.9, 0.98),
            precision="bfloat16",
            evaluate_every=500,
            save_every=250,
        ),
    )


def pretrain_prepared() -> RunConfig:
    """As `pretrain`, on the documents of a prepared corpus: every base once an epoch, spans hidden, rows full."""
    usual = pretrain()
    return replace(
        usual,
        recipe="genomics.pretrain_prepared",
        start=Scratch(tokenizer="corpus", encoder=replace(_ENCODER, dropout=0.0)),
        task=MaskedLM(unit="span"),
        data=PreparedData(block_size=_ENCODER.pattern.block_size),
        training=replace(usual.training, batch_size=4, micro_batch_size=2, watch="bits_per_letter"),
    )


def promoter() -> RunConfig:
    """Start sites along a genome, both strands at once.

    Bases are read by convolution: labels as narrow as a start site are learned faster from them than from byte pairs.
    """
    return RunConfig(
        recipe="genomics.promoter",
        start=Scratch(tokenizer="kmers", encoder=replace(_ENCODER, pattern=PatternSpec(block_size=16))),
        task=TokenClassification(labels=LABELS, positive_weight=10.0, max_length=4096, strands="both"),
        data=PromoterData(window_bp=8_000, any_share=0.5),
        training=TrainingConfig(
            num_steps=1500,
            batch_size=32,
            micro_batch_size=32,
            learning_rate=1e-3,
            warmup_steps=200,
            schedule="cosine",
            weight_decay=0.05,
            precision="bfloat16",
            evaluate_every=150,
            watch="average_precision/promoter+",  # the loss is lowest long before ranks and places are best
            save_every=150,
        ),
    )


def promoter_windows() -> RunConfig:
    """Whole windows, promoter or not, against negatives of the genome that are drawn anew every epoch.

    Starts from nothing, reading bases by convolution; with byte pairs it may start from a pretrained folder
    (start=FOLDER).
    """
    return RunConfig(
        recipe="genomics.promoter_windows",
        start=Scratch(tokenizer="kmers", encoder=replace(_ENCODER, pattern=PatternSpec(block_size=16))),
        task=Classification(labels=(), max_length=4096),
        data=PromoterWindowData(),
        training=TrainingConfig(
            num_steps=3000,
            batch_size=32,
            micro_batch_size=32,
            learning_rate=1e-3,
            warmup_steps=200,
            schedule="cosine",
            weight_decay=0.05,
            precision="bfloat16",
            evaluate_every=150,
            watch="auroc/promoter",
            save_every=150,
        ),
    )


def promoter_contrasts() -> RunConfig:
    """Start sites against places of the genome that look like them, in windows of several lengths.

    For ranking windows; `promoter` is for scans, where nearly every place is neither. Better begun from a folder that
    has read chromatin (start=FOLDER) than from nothing.
    """
    usual = promoter()
    assert isinstance(usual.task, TokenClassification)
    return replace(
        usual,
        recipe="genomics.promoter_contrasts",
        task=replace(usual.task, positive_weight=1.0),
        data=PromoterWindowData(spans_bp=(300, 2_000, 8_000), label_bp=100, negatives=("gc-matched", "shifted")),
        training=replace(
            usual.training,
            num_steps=1200,
            learning_rate=3e-4,
            warmup_steps=100,
            evaluate_every=300,
            save_every=150,
            watch="auroc/promoter+",
        ),
    )


def chromatin() -> RunConfig:
    """Which proteins and marks sit in every 200 bases of a genome, from peaks of any number of them."""
    return RunConfig(
        recipe="genomics.chromatin",
        start=Scratch(
            tokenizer="kmers",
            bases_per_token=20,
            encoder=replace(_ENCODER, num_layers=3, dropout=0.15, pattern=PatternSpec(block_size=16)),
        ),
        task=BinClassification(labels=(), context_bp=1_000, strands="both"),
        data=ChromatinData(window_bp=8_000, step_bp=6_000),
        training=TrainingConfig(
            num_steps=2600,
            batch_size=8,
            micro_batch_size=8,
            learning_rate=4e-4,  # 7e-4 and more ended in constant answers
            warmup_steps=300,
            schedule="cosine",
            weight_decay=0.05,
            precision="bfloat16",
            evaluate_every=650,
            watch="mean_average_precision",
            save_every=325,
        ),
    )


def deepsea() -> RunConfig:
    """Any number of labels for the 200 bases in the middle of a sequence, from files in DeepSEA's layout.

    Positives count eightfold, as in BigBird's paper; make the probabilities hold what they say with bigbird calibrate.
    """
    usual = chromatin()
    return replace(
        usual,
        recipe="genomics.deepsea",
        task=Classification(labels=(), answer="many", positive_weight=8.0, max_length=4096, strands="both"),
        data=DeepSeaData(),
    )
