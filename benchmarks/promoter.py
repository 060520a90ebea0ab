"""The promoter model beside trivial baselines on a chromosome none of them has seen.

    python benchmarks/promoter.py MODEL --train chr16.fa.gz chr19.fa.gz --test chr22.fa.gz --sites epdnew.bed.gz \
        --annotations chr16.gtf.gz chr19.gff3.gz chr22.gtf.gz --out benchmarks/results/promoter.json

Positives are windows centred on EPDnew start sites, on the promoter's strand. Negatives are real genome:
  matched  GC share within 2 %, at least 8,000 bases from every known start ("N4")
  shifted  the promoter's window moved 3,000 to 9,000 bases, at least 1,500 from every known start ("N6")
Both kinds are drawn as windows of 2,000 bases; with a wider context, model and baselines see around the middle
(shares of G and C match over 2,000 bases, so a wider context makes "matched" easier for everybody).
Baselines learn from the training chromosomes: logistic regression on 1- to 5-mer frequencies (position-free), gradient
boosting on the composition of 40 bins (A, C, G, T, CpG, TpA; no motifs). They read the promoter's strand. So does the
model: its score is the mean log-odds of "promoter+" within 100 bases of the middle (on chr16:78-90 Mb it ranked better
than the maximum there and than both strands together).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bigbird import Genome, Interval, Predictor, Record
from bigbird.bench.about import about
from bigbird.data.files import json_text
from bigbird.data.records import on_genome
from bigbird.genomics.baselines import BASELINES, COMPOSITION, codes_of
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoter_scores import OWN_STRAND, log_odds_near
from bigbird.genomics.promoters import Candidates, Sites, centred, matched_negatives, shifted_negatives
from bigbird.tasks import metrics

WINDOW_BP = 2_000


def windows(genome: Genome, sites: Sites, width: int, *, seed: int) -> dict[str, tuple[list[Interval], list[Interval]]]:
    """Kind of negative -> (positives, negatives), as many of each; windows with N are left out."""
    regions = [Interval(contig, 0, length) for contig, length in genome.contigs.items()]
    promoters = [centred(site, width) for region in regions for site in sites.promoters_in(region)]
    positives = [window for window in promoters if "N" not in genome.window(window).sequence]
    candidates = Candidates(genome, sites, regions, window_bp=width)
    pairs = list(matched_negatives([on_genome(window, genome) for window in positives], candidates, seed=seed))
    shifted = [
        w for w in shifted_negatives(sites, regions, window_bp=width, seed=seed) if "N" not in genome.window(w).sequence
    ]
    return {
        "matched": ([positives[index] for index, _ in pairs], [window for _, window in pairs]),
        "shifted": (positives[: len(shifted)], shifted[: len(positives)]),
    }


def letters(genome: Genome, places: Sequence[Interval], context: int) -> NDArray[np.uint8]:
    """Base codes 0 to 4 of `context` bases around the middle of each window, [windows, context]."""
    return codes_of([genome.window(centred(middle_of(place), context)).sequence for place in places])


class Learned(NamedTuple):
    """Training windows and which of them are promoters."""

    genome: Genome
    places: list[Interval]
    truth: NDArray[np.bool_]


def baseline_scores(
    learned: Learned, genome: Genome, places: Sequence[Interval], context: int
) -> dict[str, NDArray[np.float64]]:
    """Scores of the baselines for the test windows, seen with `context` bases around their middles."""
    train, test = letters(learned.genome, learned.places, context), letters(genome, places, context)
    scores = {}
    for name, (features, make) in BASELINES.items():
        classifier = make().fit(features(train), learned.truth)
        scores[f"{name}, {context:,} bases"] = classifier.predict_proba(features(test))[:, 1]
    return scores


def model_scores(predictor: Predictor, genome: Genome, places: Sequence[Interval], context: int) -> NDArray[np.float64]:
    """The model's mean log-odds near the middle of each window, seen with `context` bases around it."""
    records = [Record(sequence=genome.window(centred(middle_of(place), context)).sequence) for place in places]
    stream = track(
        predictor.predict(records), total=len(records), description=f"{context} bases", console=Console(stderr=True)
    )
    own_strand = predictor.loaded.task.labels.index(OWN_STRAND)
    return np.array([log_odds_near(answer.probabilities[:, own_strand], context // 2) for answer in stream])


def middle_of(place: Interval) -> Interval:
    """The base a centred window stands around."""
    middle = place.start + WINDOW_BP // 2 if place.strand != "-" else place.end - 1 - WINDOW_BP // 2
    return Interval(place.contig, middle, middle + 1, place.strand)


def figures(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, list[float]]:
    """AUROC and average precision, each with its 95 % interval."""
    return {
        "auroc": [round(value, 4) for value in metrics.bootstrap(metrics.auroc, truth, scores)],
        "average_precision": [round(value, 4) for value in metrics.bootstrap(metrics.average_precision, truth, scores)],
    }


def gain(truth: NDArray[np.bool_], scores: dict[str, NDArray[np.float64]], context: int) -> list[float]:
    """How much higher the model's AUROC is than that of composition, on the same windows, with its 95 % interval."""
    pair = scores[f"bigbird, {context:,} bases"], scores[f"{COMPOSITION}, {context:,} bases"]
    found = metrics.bootstrap(lambda t, ours, other: metrics.auroc(t, ours) - metrics.auroc(t, other), truth, *pair)
    return [round(value, 4) for value in found]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--test", nargs="+", required=True)
    parser.add_argument("--sites", required=True)
    parser.add_argument("--annotations", nargs="*", default=[])
    parser.add_argument("--context", type=int, nargs="+", default=[2_000, 8_000])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    genomes = [Genome.open(*paths) for paths in (options.train, options.test)]
    train_genome, test_genome = genomes
    train, test = (
        windows(genome, read_sites(genome, options.sites, matching(options.annotations, genome)), WINDOW_BP, seed=seed)
        for seed, genome in enumerate(genomes)
    )
    predictor = Predictor.load(options.model)
    results: dict[str, object] = {}
    for kind, (positives, negatives) in test.items():
        truth = np.arange(len(positives) + len(negatives)) < len(positives)
        learned_places = [*train[kind][0], *train[kind][1]]
        learned_truth = np.arange(len(learned_places)) < len(train[kind][0])
        learned = Learned(train_genome, learned_places, learned_truth)
        places = [*positives, *negatives]
        scores: dict[str, NDArray[np.float64]] = {}
        for context in options.context:
            scores |= baseline_scores(learned, test_genome, places, context)
            scores[f"bigbird, {context:,} bases"] = model_scores(predictor, test_genome, places, context)
        results[kind] = {
            "num_positives": len(positives),
            "num_negatives": len(negatives),
            "num_training_windows": len(learned_places),
            "scores": {name: figures(truth, values) for name, values in scores.items()},
            "auroc_of_bigbird_minus_composition": {
                f"{context:,} bases": gain(truth, scores, context) for context in options.context
            },
        }
        print(kind, json.dumps(results[kind], indent=2))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text({"about": about(), "what": __doc__, "model": options.model, "results": results}))


def matching(annotations: Sequence[str], genome: Genome) -> list[str]:
    """The annotations whose file name names one of the genome's contigs."""
    return [path for path in annotations if any(contig in Path(path).name for contig in genome.contigs)]


if __name__ == "__main__":
    main()
