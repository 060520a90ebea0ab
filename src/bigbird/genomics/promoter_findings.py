"""A promoter set with what was measured of it: never without its leakage report and its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigbird.errors import ConfigError
from bigbird.genomics.baselines import baseline_figures, check_baselines
from bigbird.genomics.leakage import leakage_lines, leakage_report
from bigbird.genomics.promoter_sets import PromoterSetConfig, promoter_set
from bigbird.genomics.window_scores import GENOME_PREVALENCE, NAMES, from_json
from bigbird.genomics.window_sets import write_window_set
from bigbird.interop.new_folder import check_new


def make_promoter_set(
    config: PromoterSetConfig,
    folder: Path,
    *,
    prevalence: float = GENOME_PREVALENCE,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Cut, check and measure a set and write it into a new folder; returns what stands in its set.json.

    prevalence  share of promoters among all windows of a genome, for the average precision there
    """
    if not 0 < prevalence < 1:
        raise ConfigError(f"prevalence must be above 0 and below 1, got {prevalence}")
    if not config.regions.get("train") or not (config.regions.get("validation") or config.regions.get("test")):
        raise ConfigError(
            "a set needs a train part, from which its baselines learn, and another on which they are scored; give "
            "--train and --validation or --test"
        )
    check_baselines()
    check_new(folder)
    cut = promoter_set(config)
    say("windows are cut; looking for leaks")
    leakage = leakage_report(cut.parts)
    say("the baselines learn")
    baselines = baseline_figures(cut.parts, prevalence=prevalence)
    return write_window_set(folder, replace(cut, findings={"leakage": leakage, "baselines": baselines}))


def set_lines(about: Mapping[str, Any]) -> Iterator[str]:
    """A set's description in lines: what it holds, what leaks, what its baselines reach."""
    settings, genome = about["settings"], about["genome"]
    reach = f"{settings['before_bp']:,} bases before each site of {settings['sites']}"
    yield f"{reach}, {settings['after_bp']:,} from it on"
    yield f"build {genome['build']} ({', '.join(genome['files'])}), seed {settings['seed']}"
    yield f"negatives {settings['negatives']}: {settings['negatives_in_words']}"
    for part, counts in about["parts"].items():
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts["kinds"].items())
        left = ", ".join(f"{reason} {count}" for reason, count in settings["left_out"][part].items() if count)
        yield f"{part} {', '.join(settings['split'][part])}: {kinds}; {counts['loci']:,} loci" + (
            f" (sites left out: {left})" if left else ""
        )
    yield from leakage_lines(about["leakage"])
    for name, found in about["baselines"]["scores"].items():
        for part in (part for part in about["parts"] if part in found):
            figures = from_json(found[part])
            yield f"{part}, {name}: " + ", ".join(f"{metric} {figures[metric]}" for metric in NAMES)
    for note in about["notes"]:
        yield f"warning: {note}"
