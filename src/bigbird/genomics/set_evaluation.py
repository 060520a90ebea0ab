"""A model's figures on a window set, never without those of the baselines and what the set is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bigbird.data.genome import Genome
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.baselines import BASELINES, KMERS, loci_of_rows, truth_of
from bigbird.genomics.promoter_scores import check_scores, promoter_scores
from bigbird.genomics.promoter_sets import WHAT as PROMOTERS
from bigbird.genomics.window_scores import NAMES, Floats, Judged, as_json, best_threshold, figures, from_json
from bigbird.genomics.window_sets import Part, SetWindow, StoredSet
from bigbird.predictor import Predictor
from bigbird.tasks.metrics import Estimate

Watch = Callable[[Iterable[float], int], Iterator[float]]  # a stream of known length, watched


class SetFigures(NamedTuple):
    """What is printed, and the same for a file."""

    lines: list[str]
    as_json: dict[str, Any]


def evaluate_on_set(
    predictor: Predictor,
    stored: StoredSet,
    part: Part,
    genome: Genome | None,
    *,
    model: str,
    watch: Watch | None = None,
) -> SetFigures:
    """Score a model on a part of a set, with everything a figure needs to be understood."""
    if stored.about["what"] != PROMOTERS:
        raise DataError(f"{stored.folder} is a set of {stored.about['what']}; evaluate knows sets of {PROMOTERS}")
    stored.check_part(part)
    check_scores(predictor, model=model)
    baselines = _baselines(stored, part)
    windows = stored.part(part, genome)
    scores = _scores(predictor, windows, stored, watch)
    threshold, chosen_on = 0.0, "threshold at even odds"
    if "validation" in stored.about["parts"]:
        chosen_on = f"threshold chosen on validation{', this part itself' if part == 'validation' else ''}"
        judges = windows if part == "validation" else stored.part("validation", genome)
        ranks = scores if part == "validation" else _scores(predictor, judges, stored, watch)
        threshold = best_threshold(truth_of(judges), ranks)
    judged = Judged(truth_of(windows), scores, loci_of_rows(windows))
    own = figures(judged, threshold=threshold, prevalence=float(stored.about["baselines"]["prevalence"]))
    return _told(stored, part, windows, {**baselines, model: own}, _seeds(stored, predictor), chosen_on)


def _baselines(stored: StoredSet, part: Part) -> dict[str, dict[str, Estimate]]:
    """The baselines' figures on a part; raises when any is missing, for a figure alone says nothing."""
    known = stored.about.get("baselines", {}).get("scores", {})
    missing = [name for name in BASELINES if part not in known.get(name, {})]
    if missing or KMERS not in known:
        where = (
            "they learn from it"
            if part == "train"
            else f"{stored.folder} has none of {missing[0] if missing else KMERS}"
        )
        raise ConfigError(
            f"a figure is told beside its baselines, and for part {part!r} there are none: {where}. Take part "
            f"validation or test, or make the set anew with bigbird windows promoters"
        )
    return {name: from_json(known[name][part]) for name in BASELINES}


def _scores(predictor: Predictor, windows: Sequence[SetWindow], stored: StoredSet, watch: Watch | None) -> Floats:
    site = int(stored.about["settings"]["before_bp"])
    stream: Iterable[float] = promoter_scores(predictor, (window.record for window in windows), site=site)
    return np.fromiter(stream if watch is None else watch(stream, len(windows)), np.float64, len(windows))


def _seeds(stored: StoredSet, predictor: Predictor) -> dict[str, object]:
    return {"set": stored.about["settings"]["seed"], "model": predictor.loaded.notes.get("seed", "not noted")}


def _told(
    stored: StoredSet,
    part: Part,
    windows: Sequence[SetWindow],
    rows: Mapping[str, Mapping[str, Estimate]],
    seeds: Mapping[str, object],
    threshold: str,
) -> SetFigures:
    about = stored.about
    settings, genome = about["settings"], about["genome"]
    counts = about["parts"][part]
    share = truth_of(windows).mean()
    facts = {
        "set": f"{stored.folder}, part {part}: {len(windows):,} windows "
        f"of {settings['before_bp'] + settings['after_bp']:,} bases, {counts['loci']:,} loci, {share:.0%} promoters",
        "negatives": f"{settings['negatives']}: {settings['negatives_in_words']}",
        "split": "; ".join(f"{name} {', '.join(regions)}" for name, regions in settings["split"].items()),
        "build": f"{genome['build']} ({', '.join(genome['files'])})",
        "seeds": ", ".join(f"{name} {seed}" for name, seed in seeds.items()),
        "f1, matthews": threshold,
        "average_precision_genome": f"as if {about['baselines']['prevalence']:g} of all windows were promoters",
        "intervals": "95 %, bootstrap over loci",
    }
    lines = [f"{name}\t{text}" for name, text in facts.items()]
    lines += [f"warning\t{note}" for note in about["notes"]]
    lines += ["\t".join(["", *NAMES]), *(_row(name, found) for name, found in rows.items())]
    return SetFigures(
        lines,
        {"facts": facts, "warnings": about["notes"], "scores": {name: as_json(found) for name, found in rows.items()}},
    )


def _row(name: str, found: Mapping[str, Estimate]) -> str:
    return "\t".join([name, *(str(found[metric]) for metric in NAMES)])
