"""A look through a whole VCF file before anything is scored: what is odd about it is said, or refused, at once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bigbird.data.genome import Genome
from bigbird.data.intervals import contig_named, translate_names
from bigbird.genomics.ref_mismatch import CheckedRef, MismatchWatch
from bigbird.genomics.variant_fields import InfoFields
from bigbird.genomics.variant_windows import check_ref, why_unscored
from bigbird.genomics.vcf import contig_lengths, has_entries, read_header, read_lines

log = logging.getLogger(__name__)


def look_through(source: Path, genome: Genome, fields: InfoFields) -> int:
    """Read the file once and say, or refuse, what is odd about it; the number of lines behind the header."""
    config, num_lines, contigs, is_stale = fields.config, 0, Counter[str](), False
    assert config.window_bp is not None
    header = read_header(source)
    lengths = contig_lengths(header)
    mismatches = MismatchWatch(genome, source=str(source), policy=config.on_ref_mismatch, lengths=lengths)
    is_stale = any(fields.stale_header.match(line.decode("utf-8", "replace")) for line in header)
    for line in read_lines(source):
        num_lines += 1
        if line.variant is None:
            continue
        contigs[line.variant.contig] += 1
        is_stale = is_stale or has_entries(line.raw, fields.stale_entries)
        contig = contig_named(line.variant.contig, genome.contigs)
        is_scored = not all(why_unscored(line.variant, window_bp=config.window_bp))
        if contig is not None and is_scored and line.variant.position > 0:
            mismatches.see(CheckedRef(line.number, line.variant, contig, check_ref(line.variant, genome, contig)))
    mismatches.end()
    _tell_contigs(contigs, lengths, genome, str(source))
    if is_stale:
        log.warning(
            "%s holds fields named %s_… of an earlier run; they are replaced. To keep them, give another info_prefix",
            source,
            config.info_prefix,
        )
    return num_lines


def _tell_contigs(contigs: Counter[str], lengths: Mapping[str, int], genome: Genome, source: str) -> None:
    missing = [name for name in contigs if contig_named(name, genome.contigs) is None]
    known = contigs.keys() - set(missing)
    if contigs:
        translate_names(known or contigs, genome.contigs, source=source)
    if missing:
        some = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        number = sum(contigs[name] for name in missing)
        log.warning("%s: the genome lacks %s; %d records there are kept without a score", source, some, number)
    for name in known:
        there = genome.contigs[contig_named(name, genome.contigs) or name]
        if lengths.get(name, there) != there:
            log.warning(
                "%s: its header gives %s %d bases, the genome has %d. Is it the same assembly?",
                source, name, lengths[name], there,
            )  # fmt: skip
            break
