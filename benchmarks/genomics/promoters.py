"""Promoters at several spans against honest negatives: BigBird beside everything that must stand beside it.

    python benchmarks/genomics/promoters.py --genome chr16.fa.gz chr19.fa.gz chr22.fa.gz --sites epdnew.bed.gz \
        --annotation chr16.gtf.gz chr19.gff3.gz chr22.gtf.gz --work FOLDER \
        --out benchmarks/results/promoters.json [--span 2000] [--negatives shifted] [--model bigbird] [--seed 0] \
        [--steps 3000]

A cell is one span, kind of negatives, model and seed. Every cell is added to the results file as soon as it is known,
and what stands there already is not measured again, so cells may run one by one, in any order, on several machines.
Models learn from chr16 and chr19 and are scored on chr22 (windows, negatives, figures: `bigbird windows promoters`):

  baselines    1- to 5-mers and composition of 40 bins, from the set itself
  cnn          three convolutions over bases, learned from scratch
  bigbird      recipe genomics.promoter_windows, learned from scratch
  dense        the same with every token seeing every other
  pretrained   the same recipe begun from --pretrained FOLDER
  released     the model that comes with bigbird, not trained further (its own training saw chr16 and chr19 too)

Trained models see new negatives every epoch; each is scored as it is after its last step, so that nothing is chosen on
chr22 but the threshold of F1 and MCC. Two-sided 95 % intervals are bootstraps over loci.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird import Genome, Predictor
from bigbird import config as configs
from bigbird.bench.about import about
from bigbird.data.files import json_text, written_whole
from bigbird.data.sources import RecordSource, shuffled
from bigbird.genomics.baselines import BASELINES, codes_of, loci_of_rows, truth_of
from bigbird.genomics.negatives import Reach
from bigbird.genomics.promoter_findings import make_promoter_set
from bigbird.genomics.promoter_sets import PromoterSetConfig
from bigbird.genomics.promoter_window_data import PromoterWindowData
from bigbird.genomics.set_evaluation import evaluate_on_set
from bigbird.genomics.window_scores import Judged, as_json, best_threshold, figures
from bigbird.genomics.window_sets import StoredSet, open_window_set
from bigbird.recipes import recipe
from bigbird.run import RunConfig, train
from bigbird.run_start import Scratch

TRAIN, VALIDATION = ("chr16", "chr19"), ("chr22",)
SPANS = (300, 2_000, 8_000, 16_000)
NEGATIVES = ("gc-matched", "shifted")
MODELS = ("baselines", "cnn", "bigbird", "dense", "pretrained", "released")
SEEDED = ("cnn", "bigbird", "dense", "pretrained")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What all cells share; see the command line."""

    genome: tuple[str, ...]
    sites: str
    annotation: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    work: Path
    steps: int
    batch_size: int
    precision: str
    pretrained: str | None
    released: str
    settings: tuple[str, ...]


class Cnn(nn.Module):
    """Three convolutions over one-hot bases, the strongest and the mean answer of each filter, one score."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(4, width, 15, padding=7), nn.ReLU(), nn.MaxPool1d(4)),
            *(nn.Conv1d(width, width, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4)),
            *(nn.Conv1d(width, width, 9, padding=4), nn.ReLU()),
        )
        self.score = nn.Linear(2 * width, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Log-odds [windows] for base codes 0 to 4 [windows, bases]."""
        bases = F.one_hot(codes.long(), 5)[..., :4].float().transpose(1, 2)
        found = self.layers(bases)
        pooled: Tensor = self.score(torch.cat([found.amax(2), found.mean(2)], 1)).squeeze(1)
        return pooled


def trained_cnn(source: RecordSource, options: Options, *, seed: int, device: torch.device) -> Cnn:
    """The CNN after `steps` steps on windows of the source."""
    torch.manual_seed(seed)
    model = Cnn().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=options.steps)
    for step in range(options.steps):
        places = range(step * options.batch_size, (step + 1) * options.batch_size)
        records = [shuffled(source, place, seed=seed) for place in places]
        codes = torch.from_numpy(codes_of([record.sequence for record in records])).to(device)
        targets = torch.tensor([float("promoter" in record.labels) for record in records], device=device)
        loss = F.binary_cross_entropy_with_logits(model(codes), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def cnn_figures(stored: StoredSet, genome: Genome, data: PromoterWindowData, options: Options, seed: int) -> Any:
    """What the CNN reaches on validation."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = trained_cnn(data.open().train, options, seed=seed, device=device)
    windows = stored.part("validation", genome)
    codes = torch.from_numpy(codes_of([window.record.sequence for window in windows]))
    with torch.no_grad():
        scores = torch.cat([model(some.to(device)).cpu() for some in codes.split(32)]).double().numpy()
    truth = truth_of(windows)
    judged = Judged(truth, scores, loci_of_rows(windows))
    prevalence = stored.about["baselines"]["prevalence"]
    found = figures(judged, threshold=best_threshold(truth, scores), prevalence=prevalence)
    return {"scores": as_json(found), "parameters": sum(p.numel() for p in model.parameters())}


def run_config(model: str, data: PromoterWindowData, options: Options, seed: int) -> RunConfig:
    """The recipe with this benchmark's data, as the model's name says."""
    base = recipe("genomics.promoter_windows")
    steps = options.steps
    training = replace(
        base.training,
        num_steps=steps,
        batch_size=options.batch_size,
        micro_batch_size=options.batch_size,
        precision=options.precision,
        warmup_steps=min(base.training.warmup_steps, steps // 10),
        evaluate_every=steps,  # before the first step and after the last
        save_every=steps,
        seed=seed,
    )
    run = replace(base, data=data, training=training)
    if model == "pretrained":
        run = replace(run, start=str(options.pretrained))
    if model == "dense":
        assert isinstance(run.start, Scratch)
        sees_all = replace(run.start.encoder.pattern, window_blocks=1_000_000)
        run = replace(run, start=replace(run.start, encoder=replace(run.start.encoder, pattern=sees_all)))
    return configs.overridden(run, [] if model == "pretrained" else options.settings)


def bigbird_figures(
    model: str, stored: StoredSet, genome: Genome, data: PromoterWindowData, options: Options, seed: int
) -> Any:
    """What a BigBird that was trained for this cell reaches on validation."""
    folder = options.work / f"run-{model}-{data.negatives[0]}-{data.before_bp + data.after_bp}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    loaded = train(run_config(model, data, options, seed), folder)
    found = evaluate_on_set(Predictor.load(folder / "model"), stored, "validation", genome, model=model)
    return {
        "scores": found.as_json["scores"][model],
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
    }


def window_set(span: int, negatives: str, options: Options) -> StoredSet:
    """The set of a span and kind of negatives, made when it is not there yet."""
    folder = options.work / f"set-{negatives}-{span}"
    if not folder.exists():
        config = PromoterSetConfig(
            genomes=tuple(map(Path, options.genome)),
            sites=Path(options.sites),
            annotations=tuple(map(Path, options.annotation)),
            regions={"train": options.train, "validation": options.validation},
            reach=Reach(before_bp=span // 2, after_bp=span - span // 2),
            negatives=negatives,
        )
        make_promoter_set(config, folder, say=print)
    return open_window_set(folder)


def cell(span: int, negatives: str, model: str, seed: int, options: Options) -> dict[str, Any]:
    """Measure one cell."""
    stored, genome = window_set(span, negatives, options), Genome.open(*options.genome)
    data = PromoterWindowData(
        genomes=options.genome,
        sites=options.sites,
        annotations=options.annotation,
        train_regions=options.train,
        validation_regions=options.validation,
        before_bp=span // 2,
        after_bp=span - span // 2,
        negatives=(negatives,),
    )
    began = time.monotonic()
    if model == "baselines":
        known = stored.about["baselines"]["scores"]
        found: Any = {
            "scores": {name: known[name]["validation"] for name in BASELINES},
            "leakage": stored.about["leakage"],
            "parts": stored.about["parts"],
        }
    elif model == "released":
        told = evaluate_on_set(Predictor.load(options.released), stored, "validation", genome, model=model)
        found = {"scores": told.as_json["scores"][model], "name": options.released}
    elif model == "cnn":
        found = cnn_figures(stored, genome, data, options, seed)
    else:
        found = bigbird_figures(model, stored, genome, data, options, seed)
    steps = {"steps": options.steps, "batch_size": options.batch_size} if model in SEEDED else {}
    return {**found, **steps, "seconds": round(time.monotonic() - began, 1), "about": about()}


def cells(chosen: argparse.Namespace) -> Iterator[tuple[int, str, str, int]]:
    """All cells that were asked for, baselines first."""
    for span, negatives in itertools.product(chosen.span, chosen.negatives):
        for model in chosen.model:
            if model != "pretrained" or chosen.pretrained:
                yield from ((span, negatives, model, seed) for seed in (chosen.seed if model in SEEDED else [0]))


def add(path: Path, key: str, found: dict[str, Any]) -> None:
    """Put a cell into the results file, beside what others have added meanwhile."""
    results = read(path)
    results["cells"][key] = found
    results["cells"] = dict(sorted(results["cells"].items()))
    with written_whole(path) as temporary:
        temporary.write_text(json_text(results))


def read(path: Path) -> dict[str, Any]:
    """The results file, or a new one."""
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        return known
    return {"what": __doc__, "cells": {}}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", nargs="+", required=True)
    parser.add_argument("--sites", required=True)
    parser.add_argument("--annotation", nargs="*", default=[])
    parser.add_argument("--train", nargs="+", default=TRAIN)
    parser.add_argument("--validation", nargs="+", default=VALIDATION)
    parser.add_argument("--work", type=Path, required=True, help="folder for sets and runs")
    parser.add_argument("--out", type=Path, required=True, help="results file, added to")
    parser.add_argument("--span", type=int, nargs="+", default=SPANS)
    parser.add_argument("--negatives", nargs="+", default=NEGATIVES)
    parser.add_argument("--model", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--pretrained", help="folder of a masked language model of DNA")
    parser.add_argument("--released", default="promoter")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="setting of the trained BigBirds")
    parser.add_argument("--again", action="store_true", help="measure cells that stand in the file too")
    return parser.parse_args(arguments)


def options_of(chosen: argparse.Namespace) -> Options:
    """What all cells share."""
    return Options(
        genome=tuple(chosen.genome),
        sites=chosen.sites,
        annotation=tuple(chosen.annotation),
        train=tuple(chosen.train),
        validation=tuple(chosen.validation),
        work=chosen.work,
        steps=chosen.steps,
        batch_size=chosen.batch_size,
        precision=chosen.precision,
        pretrained=chosen.pretrained,
        released=chosen.released,
        settings=tuple(chosen.settings),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the cells that are asked for and not known yet."""
    chosen = parsed(arguments)
    options = options_of(chosen)
    chosen.work.mkdir(parents=True, exist_ok=True)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for span, negatives, model, seed in cells(chosen):
        key = f"{span:05}/{negatives}/{model}/{seed}"
        if chosen.again or key not in read(chosen.out)["cells"]:
            found = cell(span, negatives, model, seed, options)
            add(chosen.out, key, found)
            print(key, json.dumps(found["scores"]), f"{found['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
