"""How steady the promoter model's scores of variants are, and how many it makes: windows, readings, placements.

    python benchmarks/genomics/variants.py chr22.fa.gz epdnew_hg38.bed.gz --contig chr22 --out variants.json

Single bases drawn within 150 bases of annotated starts, one for each of so many starts, changed to another base, scored
for the label of the start's strand. A score that tells of the variant stays the same when the windows around it are cut
5 bases further on: `moved` is the correlation of the two over variants, `with 8000 x 4` that with the largest setting.
It says nothing of whether a score is true. Speed is per second of processor time of one thread, both strands, REF too.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.bench.about import about
from bigbird.data.files import json_text
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, read_bed
from bigbird.genomics import variant_windows
from bigbird.genomics.variant_config import VariantsConfig
from bigbird.genomics.variants import score_variants
from bigbird.genomics.vcf import Variant
from bigbird.predictor import Predictor
from bigbird.randomness import integers, permutation

REACH_BP, MOVED_BP = 150, 5
LARGEST = VariantsConfig(window_bp=8_000, placements=4)
CONFIGS = (
    LARGEST,
    VariantsConfig(window_bp=8_000, placements=1),
    VariantsConfig(window_bp=8_000, placements=1, reading="max"),
    VariantsConfig(window_bp=2_000, placements=4),
    VariantsConfig(window_bp=2_000, placements=2),
    VariantsConfig(window_bp=2_000, placements=1),
    VariantsConfig(window_bp=2_000, placements=1, reading="max"),
    VariantsConfig(window_bp=1_000, placements=4),
)


def drawn(genome: Genome, starts: list[Interval], count: int, seed: int) -> tuple[list[Variant], list[int]]:
    """Variants, and for each the column of its start's strand: 0 for +, 1 for -."""
    found, columns = [], []
    for index in permutation(len(starts), seed, 0)[:count]:
        start = starts[index]
        place = start.start + int(integers(-REACH_BP, REACH_BP + 1, seed, 1, index))
        ref = genome.window(Interval(start.contig, place, place + 1)).sequence
        if ref != "N":
            alt = "ACGT".replace(ref, "")[int(integers(0, 3, seed, 2, index))]
            found.append(Variant(start.contig, place + 1, ref, (alt,)))
            columns.append(int(start.strand == "-"))
    return found, columns


def scores(
    predictor: Predictor, genome: Genome, variants: tuple[list[Variant], list[int]], config: VariantsConfig, moved: int
) -> tuple[NDArray[np.float64], float]:
    """Changes of log odds with all windows moved by some bases, and variants per second of processor time."""

    def shifts(placements: int, *, bases_per_token: int) -> list[int]:
        return [shift + moved for shift in variant_windows.shifts(placements, bases_per_token=bases_per_token)]

    begin = time.process_time()
    with mock.patch("bigbird.genomics.variants.shifts", shifts):
        scored = score_variants(predictor, genome, variants[0], config)
        found = [one.alleles[0].log_odds[column] for one, column in zip(scored, variants[1], strict=True)]
    return np.array(found), len(found) / (time.process_time() - begin)


def correlations(one: NDArray[np.float64], two: NDArray[np.float64]) -> dict[str, float]:
    """Pearson's and Spearman's."""
    ranks = [np.argsort(np.argsort(values)) for values in (one, two)]
    return {
        "pearson": round(float(np.corrcoef(one, two)[0, 1]), 3),
        "spearman": round(float(np.corrcoef(*ranks)[0, 1]), 3),
    }


def main() -> None:
    """Every setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("starts", type=Path)
    parser.add_argument("--contig", required=True)
    parser.add_argument("--variants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    genome, predictor = Genome.open(options.genome), Predictor.load("promoter")
    starts = [
        start for start in read_bed(options.starts, genome.contigs, missing="skip") if start.contig == options.contig
    ]
    variants = drawn(genome, starts, options.variants, options.seed)
    results, largest = [], np.zeros(0)
    for config in CONFIGS:
        base, speed = scores(predictor, genome, variants, config, 0)
        largest = base if config == LARGEST else largest
        result = {
            "window_bp": config.window_bp,
            "placements": config.placements,
            "reading": config.reading,
            "variants_per_cpu_second": round(speed, 2),
            "standard_deviation": round(float(base.std()), 4),
            "moved": None
            if config == LARGEST
            else correlations(base, scores(predictor, genome, variants, config, MOVED_BP)[0]),
            "with 8000 x 4": correlations(base, largest),
        }
        results.append(result)
        print(result, flush=True)
    report = {"about": about(), "what": __doc__, "seed": options.seed, "variants": len(variants[0]), "results": results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
