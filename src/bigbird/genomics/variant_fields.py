"""The INFO fields that hold scores: their names, their declarations, their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata

import numpy as np

from bigbird.genomics.variant_config import VariantsConfig
from bigbird.genomics.variant_windows import REASONS
from bigbird.genomics.variants import ScoredVariant
from bigbird.genomics.vcf import encoded, quoted

MOST_LABELS = 8  # of a model with more, INFO holds the labels that were asked for, and always the largest change

_SIGNS = {"+": "_plus", "-": "_minus"}


@dataclass(frozen=True, kw_only=True)
class InfoFields:
    """Which fields are written, for one model and one config.

    labels  all labels of the model
    model   what the model is, in words
    """

    labels: tuple[str, ...]
    config: VariantsConfig
    model: str

    @property
    def written(self) -> tuple[str, ...]:
        """The labels that have fields of their own."""
        return self.config.labels or (self.labels if len(self.labels) <= MOST_LABELS else ())

    @property
    def stale_entries(self) -> re.Pattern[str]:
        """Names of fields such as these, perhaps of an earlier run."""
        return re.compile(rf"{self.config.info_prefix}_(?:(?:DIFF|LOGODDS)_[\w.]+|MAX|MAX_LABEL|WHY|REF_MISMATCH)")

    @property
    def stale_header(self) -> re.Pattern[str]:
        """Lines of a header that speak of such fields."""
        return re.compile(rf"##INFO=<ID={self.stale_entries.pattern},|##{self.config.info_prefix}_variants=")

    def declarations(self) -> list[str]:
        """Header lines, without their ends."""
        prefix, config = self.config.info_prefix, self.config
        keys, change = field_names(self.labels), "of all labels the largest change of log odds, ALT minus REF"
        about = f"bigbird {metadata.version('bigbird')}, model {self.model}, windows of {config.window_bp} bases"
        how = f"reach_bp {config.reach_bp}, reading {config.reading}, placements {config.placements}"
        lines = [f"##{prefix}_variants={quoted(f'{about}; {how}')}"]
        for label in self.written:
            what = f"of {label}, ALT minus REF; {about}"
            lines.append(_declared(f"{prefix}_DIFF_{keys[label]}", "A", "Float", f"Difference of probability {what}"))
            lines.append(_declared(f"{prefix}_LOGODDS_{keys[label]}", "A", "Float", f"Difference of log odds {what}"))
        why = "; ".join(f"{reason}: {text}" for reason, text in REASONS.items())
        return [
            *lines,
            _declared(f"{prefix}_MAX", "A", "Float", f"{change[0].upper()}{change[1:]}; {about}"),
            _declared(f"{prefix}_MAX_LABEL", "A", "String", f"The label of {prefix}_MAX"),
            _declared(f"{prefix}_WHY", ".", "String", f"For each ALT without a score why it has none. {why}"),
            _declared(
                f"{prefix}_REF_MISMATCH", "0", "Flag", "REF differs from the genome and was scored as the file has it"
            ),
        ]

    def values(self, scored: ScoredVariant) -> dict[str, str | None]:
        """The entries of one record, by name; a flag's value is None."""
        prefix, alleles = self.config.info_prefix, scored.alleles
        changes = [None if allele.reason else (allele.difference, allele.log_odds) for allele in alleles]
        entries: dict[str, str | None] = {}
        if any(changes):
            for name, column in self._columns.items():
                entries[f"{prefix}_DIFF_{name}"] = ",".join(number(c[0][column]) if c else "." for c in changes)
                entries[f"{prefix}_LOGODDS_{name}"] = ",".join(number(c[1][column]) if c else "." for c in changes)
            most = [int(np.abs(change[1]).argmax()) if change else 0 for change in changes]
            pairs = list(zip(changes, most, strict=True))
            entries[f"{prefix}_MAX"] = ",".join(number(c[1][column]) if c else "." for c, column in pairs)
            entries[f"{prefix}_MAX_LABEL"] = ",".join(encoded(self.labels[column]) if c else "." for c, column in pairs)
        if not all(changes):
            entries[f"{prefix}_WHY"] = ",".join(allele.reason or "." for allele in alleles)
        if any(changes) and scored.ref_state == "differs":
            entries[f"{prefix}_REF_MISMATCH"] = None
        return entries

    @cached_property
    def _columns(self) -> dict[str, int]:
        """Where the labels that have fields stand among all, by the field's name."""
        names = field_names(self.labels)
        return {names[label]: self.labels.index(label) for label in self.written}


def field_names(labels: Sequence[str]) -> dict[str, str]:
    """What each label is called in the name of a field, where VCF allows letters, digits, "_" and "." alone.

    promoter+ is promoter_plus, promoter- is promoter_minus, other characters are "_"; a second label that would have
    the same name gets a number.
    """
    names: dict[str, str] = {}
    for label in labels:
        sign = _SIGNS.get(label[-1:], "")
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", label[:-1] if sign else label) + sign
        taken = set(names.values())
        names[label] = next(
            name
            for name in (plain, *(f"{plain}_{number}" for number in range(2, len(labels) + 2)))
            if name not in taken
        )
    return names


def number(value: float) -> str:
    """Six digits, as much as float32 holds."""
    return f"{float(value) + 0.0:.6g}"  # + 0.0: there is no -0


def _declared(name: str, how_many: str, kind: str, description: str) -> str:
    return f"##INFO=<ID={name},Number={how_many},Type={kind},Description={quoted(description)}>"
