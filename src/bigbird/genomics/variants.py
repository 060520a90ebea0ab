"""What a model says of variants: its answer around the alternative allele beside that around the reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.checkpoint import LoadedModel
from bigbird.data.genome import Genome
from bigbird.data.intervals import contig_named
from bigbird.data.records import Record
from bigbird.errors import DataError
from bigbird.genomics.variant_config import Reading, VariantsConfig, settled
from bigbird.genomics.variant_windows import (
    AlleleWindow,
    RefState,
    allele_window,
    allele_window_in_bins,
    check_ref,
    shifts,
    why_unscored,
)
from bigbird.genomics.vcf import Variant
from bigbird.predictor import Predictor
from bigbird.tasks import Prediction

LogOdds = NDArray[np.float64]

LEAST_PROBABILITY, MOST_PROBABILITY = 1e-6, 1 - 1e-6  # float32 holds 1 - p no more finely; log odds within ±13.8
_WINDOWS_AT_ONCE = 64
_VARIANTS_AT_ONCE = 128  # of those without windows; a line of many samples may be long


class AlleleScore(NamedTuple):
    """One ALT of a variant.

    reason                  why there is no score, one of `REASONS`; None where there is one
    reference, alternative  the model's log odds (natural) with REF and with ALT, float64 [labels of the model]
    """

    alt: str
    reason: str | None
    reference: LogOdds | None = None
    alternative: LogOdds | None = None

    @property
    def probabilities(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """With REF and with ALT, [labels] each."""
        assert self.reference is not None and self.alternative is not None
        return 1 / (1 + np.exp(-self.reference)), 1 / (1 + np.exp(-self.alternative))

    @property
    def difference(self) -> NDArray[np.float64]:
        """Probability with ALT minus probability with REF."""
        reference, alternative = self.probabilities
        return alternative - reference

    @property
    def log_odds(self) -> LogOdds:
        """Log odds with ALT minus those with REF."""
        assert self.reference is not None and self.alternative is not None
        return self.alternative - self.reference


class ScoredVariant(NamedTuple):
    """A variant with what the model says of each of its ALTs, in their order.

    ref_state  what the genome says of REF; None where that was not looked at, as nothing could be scored
    unknown    the largest share of N in any of its windows
    """

    variant: Variant
    alleles: tuple[AlleleScore, ...]
    ref_state: RefState | None = None
    unknown: float = 0.0


def score_variants(
    predictor: Predictor, genome: Genome, variants: Iterable[Variant], config: VariantsConfig
) -> Iterator[ScoredVariant]:
    """Score variants, read a few at a time: one answer for each, in order, whatever can be said of it.

    A variant's score depends on it alone, never on those before and behind it. Under on_ref_mismatch="error" the first
    REF that differs from the genome raises `DataError`; `annotate_vcf` looks before it begins.
    """
    config = settled(config, predictor)
    planner = _Planner(genome, config, predictor.loaded)
    for plans in _some(map(planner.plan, variants)):
        windows = list(dict.fromkeys(window for plan in plans for some in plan.windows for window in some))  # each once
        answers = dict(zip(windows, _answers(predictor, windows, config), strict=True))
        for plan in plans:
            yield plan.scored([average([answers[window] for window in some]) for some in plan.windows])


def read_out(prediction: Prediction, window: AlleleWindow, *, reach_bp: int, reading: Reading) -> LogOdds:
    """What a model says of an allele: log odds, float64 [labels].

    A model with one answer per sequence has just that. One that answers base by base, or in bins of `bin_bp` bases from
    base `first` of the window on, is read where the window says (the allele, or REF for bins) and `reach_bp` bases to
    either side.
    """
    probabilities = np.atleast_2d(prediction.probabilities)
    if np.ndim(prediction.probabilities) > 1:
        bin_bp, begin = getattr(prediction, "bin_bp", 1), getattr(prediction, "first", 0)
        first = min(max((window.first - reach_bp - begin) // bin_bp, 0), len(probabilities) - 1)
        last = -(-(max(window.last, window.first + 1) + reach_bp - begin) // bin_bp)
        probabilities = probabilities[first : max(last, first + 1)]
    kept = np.clip(probabilities.astype(np.float64), LEAST_PROBABILITY, MOST_PROBABILITY)
    log_odds: LogOdds = np.log(kept) - np.log1p(-kept)
    return average(log_odds) if reading == "mean" else log_odds.max(0)


def average(rows: Sequence[LogOdds] | LogOdds) -> LogOdds:
    """Mean of the rows, the same to the last bit in whatever order they come, as on the other strand they do."""
    mean: LogOdds = np.sort(rows, axis=0).mean(0)
    return mean


class _Plan(NamedTuple):
    """What is to be predicted for a variant: windows of REF, then those of the ALTs that can be scored."""

    variant: Variant
    reasons: list[str | None]
    ref_state: RefState | None
    windows: list[list[AlleleWindow]]

    def scored(self, answers: list[LogOdds]) -> ScoredVariant:
        of_alts = iter(answers[1:])
        alleles = tuple(
            AlleleScore(alt, reason) if reason else AlleleScore(alt, None, answers[0], next(of_alts))
            for alt, reason in zip(self.variant.alts, self.reasons, strict=True)
        )
        shares = [window.sequence.count("N") / len(window.sequence) for some in self.windows for window in some]
        return ScoredVariant(self.variant, alleles, self.ref_state, max(shares, default=0.0))


class _Planner:
    """Finds each variant's place on the genome and cuts its windows."""

    def __init__(self, genome: Genome, config: VariantsConfig, loaded: LoadedModel) -> None:
        assert config.window_bp is not None and config.placements is not None
        self._genome, self._policy, self._window_bp = genome, config.on_ref_mismatch, config.window_bp
        self._shifts = shifts(config.placements, bases_per_token=loaded.tokenizer.max_letters)
        bin_bp = getattr(loaded.task, "bin_bp", None)
        self._cut = allele_window if bin_bp is None else partial(allele_window_in_bins, bin_bp=bin_bp)

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
        return _Plan(variant, reasons, state, [self._windows(variant, one, contig) for one in (variant.ref, *alts)])

    def _windows(self, variant: Variant, allele: str, contig: str) -> list[AlleleWindow]:
        cut = partial(self._cut, variant, allele, self._genome, contig=contig, window_bp=self._window_bp)
        return [cut(shift_bp=shift) for shift in self._shifts]

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
        num_windows += sum(map(len, plan.windows))
        if num_windows >= _WINDOWS_AT_ONCE or len(some) >= _VARIANTS_AT_ONCE:
            yield some
            some, num_windows = [], 0
    if some:
        yield some


def _answers(predictor: Predictor, windows: list[AlleleWindow], config: VariantsConfig) -> list[LogOdds]:
    assert config.reach_bp is not None
    predictions = predictor.predict(Record(sequence=window.sequence) for window in windows)
    return [
        read_out(prediction, window, reach_bp=config.reach_bp, reading=config.reading)
        for prediction, window in zip(predictions, windows, strict=True)
    ]
