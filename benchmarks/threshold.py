"""Choose the score from which a scan calls a promoter, on a stretch the model was neither trained nor is tested on.

    python benchmarks/threshold.py MODEL --genome chr16.fa.gz --annotation chr16.gtf.gz \
        --region chr16:78,000,001-90,338,345 --window-bp 8000 --out benchmarks/results/promoter_threshold.json

Takes the threshold whose calls have the best F1 of recall (starts of protein-coding genes with a call within 500 bases)
and precision (calls within 500 bases of an annotated transcript's start), and keeps it in the model folder's notes,
where `bigbird scan` finds it.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bigbird import Genome, Predictor
from bigbird.bench.about import about
from bigbird.checkpoint import find_model, save_model
from bigbird.data.files import json_text
from bigbird.data.intervals import parse_region, read_annotation
from bigbird.genomics.agreement import Agreement, compare
from bigbird.genomics.calls import calls
from bigbird.genomics.scan import ScanConfig, scan


def f1(agreement: Agreement) -> float:
    """Harmonic mean of recall and precision, 0 without calls."""
    if not agreement.num_found or not agreement.num_supported:
        return 0.0
    return 2 / (1 / agreement.recall + 1 / agreement.precision)


def main() -> None:
    """Scan once, try all thresholds, keep the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--genome", required=True)
    parser.add_argument("--annotation", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--window-bp", type=int, default=8_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    genome = Genome.open(options.genome)
    features = read_annotation(options.annotation, genome.contigs)
    region = parse_region(options.region, genome.contigs)
    predictor = Predictor.load(options.model)
    settings = ScanConfig(window_bp=options.window_bp)
    scores = scan(
        predictor,
        genome,
        region,
        settings,
        watch=lambda windows, total: track(windows, total=total, console=Console(stderr=True)),
    )
    rows = []
    for threshold in np.arange(0.05, 1, 0.025).round(3).tolist():
        found = calls(scores, replace(settings, threshold=threshold))
        agreement = compare(found, features, scores)
        rows.append(
            {
                "threshold": threshold,
                "num_calls": agreement.num_calls,
                "recall": round(agreement.recall, 4),
                "precision": round(agreement.precision, 4),
                "f1": round(f1(agreement), 4),
            }
        )
        print(rows[-1])
    best = max(rows, key=lambda row: row["f1"])
    settings = replace(settings, threshold=best["threshold"])
    loaded = predictor.loaded
    save_model(find_model(options.model), replace(loaded, notes={**loaded.notes, "scan": asdict(settings)}))
    result = {"about": about(), "what": __doc__, "model": options.model, "region": options.region}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text({**result, "chosen": best, "thresholds": rows}))
    print(f"kept threshold {best['threshold']} in {find_model(options.model)}")


if __name__ == "__main__":
    main()
