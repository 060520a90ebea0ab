"""Runs on text."""

from __future__ import annotations

from bigbird.attention import PatternSpec
from bigbird.data.prepared import PreparedData
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions
from bigbird.run import RunConfig
from bigbird.run_start import Scratch
from bigbird.tasks import MaskedLM
from bigbird.training.settings import TrainingConfig


def pretrain() -> RunConfig:
    """Masked language modelling on a prepared corpus, whole words hidden, in a size that a laptop trains.

    Rotary positions and norms in front: such a model learns faster from little text than BERT's layout does. For a
    model that transformers reads take `pretrain_base`, also with a smaller start.encoder.
    """
    return RunConfig(
        recipe="text.pretrain",
        start=Scratch(
            tokenizer="corpus",
            encoder=EncoderConfig(
                vocab_size=8192,
                **dimensions("mini"),
                positions="rotary",
                norm="pre",
                dropout=0.0,  # no laptop sees a corpus often enough to learn it by heart
                pattern=PatternSpec(block_size=64),
            ),
        ),
        task=MaskedLM(unit="word"),
        data=PreparedData(),
        training=TrainingConfig(
            num_steps=5000,
            batch_size=8,
            micro_batch_size=2,
            learning_rate=1e-3,
            warmup_steps=300,
            schedule="cosine",
            weight_decay=0.05,
            betas=(0.9, 0.98),
            precision="bfloat16",
            evaluate_every=250,
            watch="bits_per_letter",
            save_every=250,
        ),
    )


def pretrain_base() -> RunConfig:
    """The paper's base model (Zaheer et al. 2020, table 8) in BERT's layout, for GPUs; it began from RoBERTa.

    Set start to a folder of RoBERTa for that. The number of steps is not in the paper; the default of the released
    code is 100,000 (google-research/bigbird, pretrain/run_pretraining.py).
    """
    return RunConfig(
        recipe="text.pretrain_base",
        start=Scratch(
            tokenizer="corpus",
            encoder=EncoderConfig(
                vocab_size=50_265, **dimensions("base"), num_token_types=1, pattern=PatternSpec(block_size=64)
            ),
        ),
        task=MaskedLM(unit="word"),
        data=PreparedData(),
        training=TrainingConfig(
            num_steps=100_000,
            batch_size=256,
            micro_batch_size=2,
            learning_rate=1e-4,
            warmup_steps=10_000,
            precision="bfloat16",
            evaluate_every=1000,
            watch="bits_per_letter",
            save_every=1000,
        ),
    )
