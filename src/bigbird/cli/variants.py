"""The command that scores variants."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from bigbird.cli.arguments import GenomeFiles, Model, Settings, new_file, opened_genome, watched
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

OnMismatch = Literal["error", "skip", "warn"]


@app.command()
def variants(
    model: Model,
    vcf: Annotated[Path, typer.Argument(help="VCF: plain, gzip or bgzip; - reads standard input.", readable=False)],
    *,
    genome: GenomeFiles = None,
    out: Annotated[
        str | None, typer.Option(help="VCF to write, bgzip when it ends in .gz: all of it, and scores in INFO.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Also write the scores as a table separated by tabs.", metavar="<path>")
    ] = None,
    on_ref_mismatch: Annotated[
        OnMismatch | None,
        typer.Option(
            help="Where REF differs from the genome: stop, keep without a score, or score with the file's REF. "
            "Default: error."
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Write this label's scores alone; may be given several times.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Score what variants change: a model's answer with ALT beside that with REF, for every record of a VCF."""
    from bigbird import config as configs
    from bigbird.data.files import check_new_file
    from bigbird.genomics.variant_config import VariantsConfig, settled
    from bigbird.genomics.vcf import check_kind
    from bigbird.genomics.vcf_annotation import annotate_vcf, in_words
    from bigbird.predictor import Predictor

    target, rows = new_file(out, vcf), None if table is None else Path(table)
    if target is None:
        raise InputError("variants needs the file to write, with --out OUT.vcf or --out OUT.vcf.gz")
    if rows is not None:
        check_new_file(rows, vcf, option="--table")
        if rows.resolve() == target.resolve():
            raise InputError(f"--table {table} is also what --out names; name another file")
    check_kind(target)
    opened = opened_genome(genome)
    if opened is None:
        raise InputError("variants needs the genome that the places lie on, with --genome FASTA")
    predictor = Predictor.load(model)
    config = configs.overridden(VariantsConfig(), settings or [])
    options = {"on_ref_mismatch": on_ref_mismatch, "labels": label}
    config = configs.changed(config, {name: value for name, value in options.items() if value}, source="variants")
    config = settled(config, predictor, source=f"model {model}")
    with _as_file(vcf) as source:
        counts = annotate_vcf(
            predictor,
            opened,
            source,
            target,
            config,
            model=_described(model),
            table=rows,
            watch=partial(watched, what="records"),
        )
    for line in in_words(counts):
        say(line)
    say(f"all records are in {target}" + (f", scores as a table in {rows}" if rows else ""))


@contextmanager
def _as_file(path: Path) -> Iterator[Path]:
    """The path itself; for "-" a copy of standard input, as a VCF is read twice."""
    if str(path) != "-":
        yield path
        return
    with TemporaryDirectory(prefix="bigbird-") as folder:
        copy = Path(folder, "standard-input.vcf")
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy


def _described(model: str) -> str:
    """The model's name and what tells its weights from others."""
    import hashlib

    from bigbird.checkpoint import WEIGHTS_FILE, find_model

    with (find_model(model) / WEIGHTS_FILE).open("rb") as file:
        return f"{model} (weights sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
