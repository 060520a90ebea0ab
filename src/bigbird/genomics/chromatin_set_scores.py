"""A model's figures on a window set of chromatin profiles, beside the set's baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.bin_profiles import Place, profiles, reading_of
from bigbird.genomics.label_means import means_over
from bigbird.genomics.window_scores import as_json, from_json
from bigbird.genomics.window_sets import Part, SetWindow, StoredSet
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, Classification, Estimate
from bigbird.tasks.bins import some_of
from bigbird.tasks.metrics import headline
from bigbird.tasks.ranking import estimates, ranking

_UNSEEN = 0.0  # the score of a bin that no window of known bases holds


class ChromatinFigures(NamedTuple):
    """What is printed; the figures of every label; and what else a file holds."""

    lines: list[str]
    scores: dict[str, Estimate]
    as_json: dict[str, Any]


def chromatin_figures(
    predictor: Predictor, stored: StoredSet, part: Part, genome: Genome | None, *, model: str
) -> ChromatinFigures:
    """Score a model on a part: one of bins on the bins themselves, with the genome around; others on the windows."""
    stored.check_part(part)
    if genome is None:
        raise DataError(f"{stored.folder} holds places, not sequences; give the genome they lie on with --genome FASTA")
    baselines = stored.about.get("baselines", {}).get("scores", {})
    if not baselines or any(part not in found for found in baselines.values()):
        raise ConfigError(
            f"a figure is told beside its baseline, and for part {part!r} there is none: it learns from part train. "
            f"Take validation or test, or make the set anew with bigbird windows chromatin"
        )
    windows = stored.part(part, genome)
    labels: list[str] = [label for label in stored.about["settings"]["labels"] if label in predictor.loaded.task.labels]
    if not labels:
        raise DataError(f"{model} has none of the set's labels: it has {some_of(predictor.loaded.task.labels)}")
    truth = np.array([[label in set(window.record.labels) for label in labels] for window in windows])
    scores = estimates(labels, ranking(truth, _probabilities(predictor, stored, windows, genome, labels)))
    beside = _beside(stored, part, windows, labels)
    lines = _lines(stored, part, windows, labels, beside | {model: scores})
    written = {name: {part: as_json(found)} for name, found in beside.items()}
    return ChromatinFigures(lines, scores, {"part": part, "labels": labels, "baselines": written})


def _beside(
    stored: StoredSet, part: Part, windows: Sequence[SetWindow], labels: Sequence[str]
) -> dict[str, dict[str, Estimate]]:
    """The baselines' figures over the labels that the model has."""
    counts = Counter(label for window in windows for label in set(window.record.labels))
    every = stored.about["settings"]["labels"]
    try:
        return {
            name: means_over(labels, every, counts, from_json(found[part]))
            for name, found in stored.about["baselines"]["scores"].items()
        }
    except KeyError as error:
        label = str(error.args[0]).partition("/")[2]
        raise DataError(
            f"{stored.folder} keeps no figures of label {label!r} of its baseline, which is to be told over the labels "
            f"the model has; make the set anew with bigbird windows chromatin"
        ) from None


def _probabilities(
    predictor: Predictor, stored: StoredSet, windows: Sequence[SetWindow], genome: Genome, labels: Sequence[str]
) -> NDArray[np.floating[Any]]:
    task = predictor.loaded.task
    columns = [task.labels.index(label) for label in labels]
    if isinstance(task, Classification) and task.answer == "many":
        records = (window.record for window in windows)
        return np.stack([answer.probabilities for answer in predictor.predict(records)])[:, columns]
    bin_bp = int(stored.about["settings"]["bin_bp"])
    if not isinstance(task, BinClassification) or task.bin_bp != bin_bp:
        raise ConfigError(
            f"a set of chromatin profiles in bins of {bin_bp} bases needs a model of such bins, or one that gives "
            f"whole sequences any number of labels"
        )
    places = [Place(genome, run, str(run)) for run in runs_of(_bin_in(window, bin_bp) for window in windows)]
    found = np.concatenate(
        [profile.probabilities for profile in profiles(predictor, places, reading_of(predictor.loaded))]
    )
    scores: NDArray[np.floating[Any]] = np.nan_to_num(found[:, columns], nan=_UNSEEN)
    return scores


def _bin_in(window: SetWindow, bin_bp: int) -> Interval:
    """The bin in the middle of a window."""
    place = window.record.interval
    assert place is not None
    start = place.start + (place.length - bin_bp) // 2
    return Interval(place.contig, start, start + bin_bp)


def runs_of(places: Iterable[Interval]) -> list[Interval]:
    """Places of which each begins where the one before ends, put together."""
    runs: list[Interval] = []
    for place in places:
        if runs and (runs[-1].contig, runs[-1].end) == (place.contig, place.start):
            runs[-1] = replace(runs[-1], end=place.end)
        else:
            runs.append(place)
    return runs


def _lines(
    stored: StoredSet,
    part: Part,
    windows: Sequence[SetWindow],
    labels: Sequence[str],
    rows: Mapping[str, Mapping[str, Estimate]],
) -> list[str]:
    settings, genome = stored.about["settings"], stored.about["genome"]
    every = len(settings["labels"])
    lines = [
        f"set\t{stored.folder}, part {part}: {len(windows):,} bins of {settings['bin_bp']} bases, windows of "
        f"{settings['window_bp']:,}; {len(labels)} of {every} labels are the model's",
        "split\t" + "; ".join(f"{name} {', '.join(regions)}" for name, regions in settings["split"].items()),
        f"build\t{genome['build']} ({', '.join(genome['files'])})",
        f"unlabelled\t{_drawn(settings)}",
        "intervals\t95 %, chunks of neighbouring bins drawn again; means over labels with at least 10 bins",
    ]
    if len(labels) < every:
        lines.append(
            f"baseline\tover the same {len(labels)} of {every} labels; means over some of several have no interval"
        )
    lines += [f"warning\t{note}" for note in stored.about["notes"]]
    shown = {name: headline(found) for name, found in rows.items()}
    names = list(list(shown.values())[-1])
    lines.append("\t".join(["", *names]))
    return lines + ["\t".join([name, *(_shown(found.get(one)) for one in names)]) for name, found in shown.items()]


def _drawn(settings: Mapping[str, Any]) -> str:
    share = settings["unlabelled"]
    return (
        f"{share} bins for each that has a label, drawn with seed {settings['seed']}"
        if share
        else "all bins without a label"
    )


def _shown(found: Estimate | None) -> str:
    if found is None or isnan(found.value):
        return "none"
    return f"{found.value:.3f}" if isnan(found.low) else str(found)
