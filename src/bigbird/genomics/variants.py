"""What a model says of variants: its answer around the alternative allele beside that around the reference."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.genome import Genome
from bigbird.data.intervals import contig_named
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.ref_mismatch import OnRefMismatch
from bigbird.genomics.variant_windows import AlleleWindow, RefState, allele_window, check_ref, why_unscored
from bigbird.genomics.vcf import Variant
from bigbird.predictor import Predictor
from bigbird.tasks import MaskedLM, Prediction
from bigbird.tokenizers import TextTokenizer

Probabilities = NDArray[np.float64]

LEAST_PROBABILITY = 1e-6  # float32 holds 1 - p no more finely than 6e-8; log odds stay within ±13.8
DEFAULT_REACH_BP = 100  # the promoter model's labels reach as far from a start site

_WINDOWS_AT_ONCE = 64
_VARIANTS_AT_ONCE = 128  # of those without windows; a line of many samples may be long


@dataclass(frozen=True, kw_only=True)
class VariantsConfig:
    """How variants are scored; lengths in bases.

    window_bp        what the model sees of each allele; None: what the model's notes say
    reach_bp         a model that answers along the sequence is read from so many bases before the allele to so many
                     behind it; its highest probability there counts, label by label. None: 100 bases, for a model that
                     answers in bins 0
    on_ref_mismatch  where REF differs from the genome: "error" stops before anything is scored, "skip" leaves the
                     record without a score, "warn" scores it, with the file's REF in the reference window
    labels           those that are written; () for all
    info_prefix      how the names of INFO fields begin
    """

    window_bp: int | None = None
    reach_bp: int | None = None
    on_ref_mismatch: OnRefMismatch = "error"
    labels: tuple[str, ...] = ()
    info_prefix: str = "BIGBIRD"

    def __post_init__(self) -> None:
        if self.window_bp is not None and self.window_bp < 1:
            raise ConfigError(f"window_bp must be at least 1, got {self.window_bp}")
        if self.reach_bp is not None and self.reach_bp < 0:
            raise ConfigError(f"reach_bp must be at least 0, got {self.reach_bp}")
        if not (self.info_prefix.isascii() and self.info_prefix.isidentifier()):
            raise ConfigError(
                f"info_prefix must be letters, digits and '_', no digit first, as VCF wants it, got "
                f"{self.info_prefix!r}"
            )


class AlleleScore(NamedTuple):
    """One ALT of a variant.

    reason                  why there is no score, one of `REASONS`; None where there is one
    reference, alternative  the model's probabilities with REF and with ALT, float64 [labels of the model]
    """

    alt: str
    reason: str | None
    reference: Probabilities | None = None
    alternative: Probabilities | None = None

    @property
    def difference(self) -> Probabilities:
        """Probability with ALT minus probability with REF."""
        assert self.reference is not None and self.alternative is not None
        return self.alternative - self.reference

    @property
    def log_odds(self) -> Probabilities:
        """Log odds (natural) with ALT minus those with REF, probabilities kept off 0 and 1 by a millionth."""
        assert self.reference is not None and self.alternative is not None
        return _logits(self.alternative) - _logits(self.reference)


class ScoredVariant(NamedTuple):
    """A variant with what the model says of each of its ALTs, in their order.

    ref_state  what the genome says of REF; None where that was not looked at, as nothing could be scored
    unknown    the largest share of N in any of its windows
    """

    variant: Variant
    alleles: tuple[AlleleScore, ...]
    ref_state: RefState | None = None
    unknown: float = 0.0


def settled(config: VariantsConfig, predictor: Predictor, *, source: str = "this model") -> VariantsConfig:
    """The config with `window_bp` filled in, held against the model; raises `ConfigError` where they do not fit."""
    loaded = predictor.loaded
    if isinstance(loaded.task, MaskedLM) or isinstance(loaded.tokenizer, TextTokenizer):
        raise ConfigError(f"variants need a model of DNA with labels; {source} has none, or reads text")
    unknown = [label for label in config.labels if label not in loaded.task.labels]
    if unknown:
        near = difflib.get_close_matches(unknown[0], loaded.task.labels, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{source} has no label {unknown[0]!r}.{hint} It has {len(loaded.task.labels)}: see its card")
    window = config.window_bp or _noted_window(loaded.notes)
    if window is None:
        raise ConfigError(
            f"{source} does not say how long the sequences were that it learned from; give their length, with --set "
            f"window_bp=…"
        )
    most = (loaded.task.max_length - 2) * loaded.tokenizer.max_letters
    if window > most:
        raise ConfigError(f"window_bp {window:,} is more than {source} reads at once; set it to {most} or less")
    bin_bp = getattr(loaded.task, "bin_bp", None)
    if bin_bp and window % bin_bp:
        raise ConfigError(f"window_bp must be a multiple of the {bin_bp} bases of a bin of {source}, got {window:,}")
    default_reach = DEFAULT_REACH_BP if bin_bp is None else 0
    return replace(config, window_bp=window, reach_bp=default_reach if config.reach_bp is None else config.reach_bp)


def score_variants(
    predictor: Predictor, genome: Genome, variants: Iterable[Variant], config: VariantsConfig
) -> Iterator[ScoredVariant]:
    """Score variants, read a few at a time: one answer for each, in order, whatever can be said of it.

    A variant's score depends on it alone, never on those before and behind it. Under on_ref_mismatch="error" the first
    REF that differs from the genome raises `DataError`; `annotate_vcf` looks before it begins.
    """
    config = settled(config, predictor)
    planner = _Planner(genome, config)
    for plans in _some(map(planner.plan, variants)):
        wanted = {window: number for number, window in zip(count(), dict.fromkeys(w for p in plans for w in p.windows))}
        answers = _answers(predictor, list(wanted), config)
        for plan in plans:
            yield plan.scored([answers[wanted[window]] for window in plan.windows])


def read_out(prediction: Prediction, window: AlleleWindow, *, reach_bp: int) -> Probabilities:
    """The model's probabilities for an allele: float64 [labels].

    A model with one answer per sequence has just these. One that answers base by base, or in bins of `bin_bp` bases
    from base `first` of the window on, is read where the allele lies and `reach_bp` bases to either side; the highest
    probability of each label counts.
    """
    probabilities: Probabilities = np.asarray(prediction.probabilities, np.float64)
    if probabilities.ndim == 1:
        return probabilities
    bin_bp, begin = getattr(prediction, "bin_bp", 1), getattr(prediction, "first", 0)
    first = max((window.first - reach_bp - begin) // bin_bp, 0)
    last = -(-(max(window.last, window.first + 1) + reach_bp - begin) // bin_bp)
    highest: Probabilities = probabilities[first : max(last, first + 1)].max(0)
    return highest


class _Plan(NamedTuple):
    """What is to be predicted for a variant: the window of REF, then those of the ALTs that can be scored."""

    variant: Variant
    reasons: list[str | None]
    ref_state: RefState | None
    windows: list[AlleleWindow]

    def scored(self, answers: list[Probabilities]) -> ScoredVariant:
        of_alts = iter(answers[1:])
        alleles = tuple(
            AlleleScore(alt, reason) if reason else AlleleScore(alt, None, answers[0], next(of_alts))
            for alt, reason in zip(self.variant.alts, self.reasons, strict=True)
        )
        unknown = max((window.sequence.count("N") / len(window.sequence) for window in self.windows), default=0.0)
        return ScoredVariant(self.variant, alleles, self.ref_state, unknown)


class _Planner:
    """Finds each variant's place on the genome and cuts its windows."""

    def __init__(self, genome: Genome, config: VariantsConfig) -> None:
        assert config.window_bp is not None
        self._genome, self._policy, self._window_bp = genome, config.on_ref_mismatch, config.window_bp

    def plan(self, variant: Variant) -> _Plan:
        reasons = why_unscored(variant, window_bp=self._window_bp)
        if all(reasons):
            return _Plan(variant, reasons, None, [])
        contig = contig_named(variant.contig, self._genome.contigs)
        if contig is None:
            return _Plan(variant, [reason or "contig_missing" for reason in reasons], None, [])
        # Position 0 is how VCF names a contig's left end, where a breakend may lie: nothing is wrong with it.
        state = self._checked(variant, contig) if variant.position > 0 else None
        of_ref = "outside_contig" if state is None else self._reason_of_ref(state)
        if of_ref is not None:
            return _Plan(variant, [reason or of_ref for reason in reasons], state, [])
        alts = [alt for alt, reason in zip(variant.alts, reasons, strict=True) if reason is None]
        window = partial(allele_window, variant, genome=self._genome, contig=contig, window_bp=self._window_bp)
        return _Plan(variant, reasons, state, [window(allele) for allele in (variant.ref, *alts)])

    def _reason_of_ref(self, state: RefState) -> str | None:
        of_differing = "ref_mismatch" if self._policy == "skip" else None
        return {"outside": "outside_contig", "unknown": "genome_unknown", "differs": of_differing}.get(state)

    def _checked(self, variant: Variant, contig: str) -> RefState:
        check = check_ref(variant, self._genome, contig)
        if self._policy == "error" and check.state in ("differs", "outside"):
            has = f"has {check.found}" if check.found else f"ends after {self._genome.contigs[contig]:,} bases"
            raise DataError(
                f"REF of {variant} differs from the genome, where {contig} {has}. To leave such variants without a "
                f'score: on_ref_mismatch="skip"; to score them with their own REF: on_ref_mismatch="warn"'
            )
        return check.state


def _some(plans: Iterable[_Plan]) -> Iterator[list[_Plan]]:
    """A few variants at a time, so that any number of them needs no more memory."""
    some: list[_Plan] = []
    num_windows = 0
    for plan in plans:
        some.append(plan)
        num_windows += len(plan.windows)
        if num_windows >= _WINDOWS_AT_ONCE or len(some) >= _VARIANTS_AT_ONCE:
            yield some
            some, num_windows = [], 0
    if some:
        yield some


def _answers(predictor: Predictor, windows: list[AlleleWindow], config: VariantsConfig) -> list[Probabilities]:
    assert config.reach_bp is not None
    predictions = predictor.predict(Record(sequence=window.sequence) for window in windows)
    return [
        read_out(prediction, window, reach_bp=config.reach_bp)
        for prediction, window in zip(predictions, windows, strict=True)
    ]


def _logits(probabilities: Probabilities) -> Probabilities:
    kept = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    logits: Probabilities = np.log(kept) - np.log1p(-kept)
    return logits


def _noted_window(notes: Mapping[str, Any]) -> int | None:
    """The window a model was made for, as it is known from its notes on variants or on scans."""
    for use in ("variants", "scan"):
        if "window_bp" in notes.get(use, {}):
            return int(notes[use]["window_bp"])
    return None
