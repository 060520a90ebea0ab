"""How variants are scored, and whether a model can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bigbird.errors import ConfigError
from bigbird.genomics.label_names import check_labels
from bigbird.genomics.ref_mismatch import OnRefMismatch
from bigbird.predictor import Predictor
from bigbird.tasks import MaskedLM
from bigbird.tasks.windows import most_bases
from bigbird.tokenizers import TextTokenizer

Reading = Literal["mean", "max"]

DEFAULT_REACH_BP = 100  # the promoter model's labels reach as far from a start site
MOST_PLACEMENTS = 64


@dataclass(frozen=True, kw_only=True)
class VariantsConfig:
    """How variants are scored; lengths in bases.

    window_bp        what the model sees of each allele; None: what the model's notes say, on variants or on scans
    reach_bp         a model that answers along the sequence is read from so many bases before the allele to so many
                     behind it. None: what the model's notes say, or 100 bases, or 0 for a model that answers in bins
    reading          what counts of that stretch, label by label: the mean of the log odds or the highest
    placements       windows per allele, each cut a few bases further on so that they part differently into tokens, and
                     averaged. None: what the model's notes say, or 1
    on_ref_mismatch  where REF differs from the genome: "error" stops before anything is scored, "skip" leaves the
                     record without a score, "warn" scores it, with the file's REF in the reference window
    labels           those that are written; () for all
    info_prefix      how the names of INFO fields begin
    """

    window_bp: int | None = None
    reach_bp: int | None = None
    reading: Reading = "mean"
    placements: int | None = None
    on_ref_mismatch: OnRefMismatch = "error"
    labels: tuple[str, ...] = ()
    info_prefix: str = "BIGBIRD"

    def __post_init__(self) -> None:
        if self.window_bp is not None and self.window_bp < 1:
            raise ConfigError(f"window_bp must be at least 1, got {self.window_bp}")
        if self.reach_bp is not None and self.reach_bp < 0:
            raise ConfigError(f"reach_bp must be at least 0, got {self.reach_bp}")
        if self.placements is not None and not 1 <= self.placements <= MOST_PLACEMENTS:
            raise ConfigError(f"placements must be from 1 to {MOST_PLACEMENTS}, got {self.placements}")
        if not (self.info_prefix.isascii() and self.info_prefix.isidentifier()):
            raise ConfigError(
                f"info_prefix must be letters, digits and '_', no digit first, as VCF wants it, got "
                f"{self.info_prefix!r}"
            )


def settled(config: VariantsConfig, predictor: Predictor, *, source: str = "this model") -> VariantsConfig:
    """The config with nothing left open, held against the model; raises `ConfigError` where they do not fit."""
    loaded = predictor.loaded
    if isinstance(loaded.task, MaskedLM) or isinstance(loaded.tokenizer, TextTokenizer):
        raise ConfigError(f"variants need a model of DNA with labels; {source} has none, or reads text")
    check_labels(config.labels, loaded.task.labels, source=source)
    window = config.window_bp or _noted("window_bp", loaded.notes, "variants", "scan")
    if window is None:
        raise ConfigError(
            f"{source} does not say how long the sequences were that it learned from; give their length, with --set "
            f"window_bp=…"
        )
    most = most_bases(loaded.task.max_length, loaded.tokenizer)
    if window > most:
        raise ConfigError(f"window_bp {window:,} is more than {source} reads at once; set it to {most} or less")
    bin_bp = getattr(loaded.task, "bin_bp", None)
    if bin_bp and window % bin_bp:
        raise ConfigError(f"window_bp must be a multiple of the {bin_bp} bases of a bin of {source}, got {window:,}")
    context = 2 * getattr(loaded.task, "context_bp", 0)
    if window <= context:
        raise ConfigError(
            f"window_bp must be more than the {context:,} bases of context around the bins of {source}, got {window:,}"
        )
    reach = config.reach_bp if config.reach_bp is not None else _noted("reach_bp", loaded.notes, "variants")
    if reach is None:
        reach = DEFAULT_REACH_BP if bin_bp is None else 0
    placements = config.placements or _noted("placements", loaded.notes, "variants") or 1
    labels = tuple(dict.fromkeys(config.labels))
    return replace(config, window_bp=window, reach_bp=reach, placements=placements, labels=labels)


def _noted(setting: str, notes: Mapping[str, Any], *uses: str) -> int | None:
    """What a model's notes say of a setting, for the first of these uses that has it."""
    return next((int(notes[use][setting]) for use in uses if setting in notes.get(use, {})), None)
