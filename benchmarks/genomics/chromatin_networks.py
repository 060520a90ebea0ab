"""Networks trained alike on the same windows: the recipe, the same with full attention, a convolutional one."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from bigbird.attention import PatternSpec
from bigbird.attention.layout import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.genomics.bin_profiles import Place, Reading, profiles, reading_of
from bigbird.genomics.chromatin import ChromatinData
from bigbird.model.heads import Bins
from bigbird.predictor import Predictor
from bigbird.recipes import recipe
from bigbird.run import RunConfig, train
from bigbird.run_start import Scratch
from bigbird.tasks import BinClassification
from bigbird.tokenizers import KmerTokenizer
from bigbird.training.batches import Batches
from bigbird.training.step import seeded

if TYPE_CHECKING:
    from chromatin import Regions

BIN_BP = 200
FULL = 100_000  # random blocks: more than there are, so every block sees all others
FILTERS = 160


def bigbird(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """Scores of the validation bins, [bins, labels]."""
    return _scores(regions, _trained(_run(regions, options), options), options)


def bert(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """The same with full attention."""
    run = _run(regions, options)
    assert isinstance(run.start, Scratch)
    pattern = PatternSpec(block_size=run.start.encoder.pattern.block_size, random_blocks=FULL)
    encoder = dataclasses.replace(run.start.encoder, pattern=pattern)
    run = dataclasses.replace(run, start=dataclasses.replace(run.start, encoder=encoder))
    return _scores(regions, _trained(run, options), options)


def untrained(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """The recipe's encoder as it was drawn, and a head trained on it."""
    run = _run(regions, options)
    assert isinstance(run.start, Scratch) and isinstance(run.task, BinClassification)
    tokenizer = KmerTokenizer(run.start.bases_per_token)
    encoder = dataclasses.replace(
        run.start.encoder, vocab_size=tokenizer.vocab_size, bases_per_token=tokenizer.bases_per_token, dropout=0.0
    )
    with seeded(options.seed, device=torch.device("cpu")):
        model = run.task.build_model(encoder)
    for parameter in model.encoder.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)
    return _scores(regions, _by_hand(LoadedModel(model, encoder, run.task, tokenizer, {}), run, options), options)


def cnn(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """A convolutional network of about a million weights, on the same batches."""
    run = _run(regions, options)
    assert isinstance(run.start, Scratch) and isinstance(run.task, BinClassification)
    with seeded(options.seed, device=torch.device("cpu")):
        model = Cnn(len(run.task.labels), context_bp=run.task.context_bp)
    loaded = LoadedModel(model, run.start.encoder, run.task, KmerTokenizer(run.start.bases_per_token), {})
    return _scores(regions, _by_hand(loaded, run, options), options)


def released(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """A model that is there already, read as its notes say; its other labels are left out."""
    predictor = Predictor.load(options.model)
    places = [Place(regions.genome, region, str(region)) for region in regions.validate]
    found = profiles(predictor, places, reading_of(predictor.loaded))
    columns = [predictor.loaded.task.labels.index(label) for label in regions.peaks.labels]
    return np.nan_to_num(np.concatenate([profile.probabilities for profile in found]))[:, columns]


class Cnn(nn.Module):
    """Reads the tokens of `KmerTokenizer`; documents are of one length."""

    def __init__(self, num_labels: int, *, context_bp: int) -> None:
        super().__init__()
        self.context_bp = context_bp
        self.motifs = nn.Conv1d(4, FILTERS, 15, padding=7)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, FILTERS),
                nn.GELU(),
                nn.Conv1d(FILTERS, FILTERS, 5, padding=2 * 2**depth, dilation=2**depth),
                nn.Dropout(0.2),
            )
            for depth in range(4)
        )
        self.inner = nn.Linear(2 * FILTERS, FILTERS)
        self.output = nn.Linear(FILTERS, num_labels)
        nn.init.constant_(self.output.bias, -4.0)

    def forward(self, token_ids: Tensor, layout: DocumentLayout, bins: Bins) -> Tensor:
        """As `BinClassifier`."""
        del bins  # tokens do not matter here
        ids = layout.unpack(token_ids).view(len(layout.lengths), -1)[:, 1:-1]
        size = _bases_of(ids)
        letters = (ids[..., None] // 8 ** torch.arange(size) % 8).flatten(1)
        letters = letters[:, : letters.shape[1] // BIN_BP * BIN_BP]
        x = F.one_hot(letters, 8)[..., 1:5].mT.float()
        x = F.max_pool1d(F.gelu(self.motifs(x)), 10)
        for block in self.blocks:
            x = x + block(x)
        margin = self.context_bp // 10
        x = x[..., margin : x.shape[-1] - margin].unflatten(2, (-1, BIN_BP // 10))
        pooled = torch.cat((x.mean(3), x.amax(3)), 1).mT.flatten(0, 1)
        logits: Tensor = self.output(F.dropout(F.gelu(self.inner(pooled)), 0.2, self.training))
        return logits


def _bases_of(ids: Tensor) -> int:
    """Bases per token, told by the largest id."""
    return int(np.ceil(np.log2(float(ids.max()) + 1) / 3))


def _run(regions: Regions, options: argparse.Namespace) -> RunConfig:
    step_bp = _step_bp(options)
    usual = recipe("genomics.chromatin")
    assert isinstance(usual.task, BinClassification)
    micro_batch = max(1, options.bases_per_step // options.context)
    data = ChromatinData(
        genomes=tuple(options.genome),
        peaks=tuple(map(str, options.peaks)),
        train_regions=tuple(options.train),
        validation_regions=tuple(options.validate),
        window_bp=options.context,
        step_bp=step_bp,
        labels=regions.peaks.labels,
        seed=options.seed,
    )
    task = dataclasses.replace(usual.task, labels=regions.peaks.labels, context_bp=(options.context - step_bp) // 2)
    training = dataclasses.replace(
        usual.training,
        num_steps=options.steps,
        batch_size=micro_batch,
        micro_batch_size=micro_batch,
        evaluate_every=options.steps,
        seed=options.seed,
    )
    return dataclasses.replace(usual, data=data, task=task, training=training)


def _trained(run: RunConfig, options: argparse.Namespace) -> LoadedModel:
    folder = options.work / f"{options.cell}-{options.context}-{options.seed}"
    loaded = train(run, folder, auto_resume=True)
    shutil.rmtree(folder / "state", ignore_errors=True)
    return loaded


def _by_hand(loaded: LoadedModel, run: RunConfig, options: argparse.Namespace) -> LoadedModel:
    """The run's steps without its folder, states and evaluations."""
    training = run.training
    optimizer = torch.optim.AdamW(
        [weights for weights in loaded.model.parameters() if weights.requires_grad],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.num_steps)
    loaded.model.train()
    steps = Batches(loaded, training, run.data.open().train).from_step(0)
    for step, (batch,) in enumerate(track(steps, total=training.num_steps, console=Console(stderr=True))):
        with seeded(options.seed, step, device=torch.device("cpu")):
            loss = loaded.task.loss(loaded.model, batch)
        optimizer.zero_grad()
        (loss.total / loss.num_targets).backward()
        nn.utils.clip_grad_norm_(loaded.model.parameters(), training.clip_norm)
        optimizer.step()
        schedule.step()
    loaded.model.eval()
    return loaded


def _scores(regions: Regions, loaded: LoadedModel, options: argparse.Namespace) -> NDArray[np.float32]:
    """Of all bins of the validation regions, in order."""
    reading = Reading(options.context, _step_bp(options), BIN_BP)
    places = [Place(regions.genome, region, str(region)) for region in regions.validate]
    return np.nan_to_num(np.concatenate([p.probabilities for p in profiles(Predictor(loaded), places, reading)]))


def _step_bp(options: argparse.Namespace) -> int:
    margin = options.context // 8 // BIN_BP * BIN_BP
    return BIN_BP if options.context < 2_000 else int(options.context) - 2 * margin
