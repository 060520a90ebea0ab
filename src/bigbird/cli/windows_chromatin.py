"""The command that makes window sets of chromatin profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bigbird.cli.arguments import GenomeFiles
from bigbird.cli.entry import say
from bigbird.cli.windows import Places, windows
from bigbird.errors import InputError


@windows.command()
def chromatin(
    out: Annotated[Path, typer.Option(help="A new folder for the set.", readable=False)],
    *,
    genome: GenomeFiles = None,
    peaks: Annotated[
        list[Path],
        typer.Option(
            help="BED with labels in column 4; or narrowPeak, broadPeak or BED of 3 columns, named by the file. May be "
            "given several times.",
            readable=False,
        ),
    ],
    train: Places = None,
    validation: Places = None,
    test: Places = None,
    window_bp: Annotated[int, typer.Option(min=1, help="Bases of a window, its bin in the middle.")] = 1_000,
    bin_bp: Annotated[int, typer.Option(min=1, help="Bases of a bin.")] = 200,
    min_peaks: Annotated[int, typer.Option(min=1, help="Leave out labels with fewer peaks in the train part.")] = 200,
    unlabelled: Annotated[
        float, typer.Option(min=0, help="Bins without a label for each that has one. 0: all there are.")
    ] = 0,
    build: Annotated[str, typer.Option(help="The assembly's name. Default: told from the contigs' lengths.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
) -> None:
    """Windows around the bins of a genome with the labels of the peaks in each, in parts that share no bases."""
    from bigbird.genomics.chromatin_sets import ChromatinSetConfig, make_chromatin_set, set_lines

    if not genome:
        raise InputError("windows are cut from a genome; give it with --genome FASTA")
    config = ChromatinSetConfig(
        genomes=tuple(genome),
        peaks=tuple(peaks),
        regions={"train": train or [], "validation": validation or [], "test": test or []},
        window_bp=window_bp,
        bin_bp=bin_bp,
        min_peaks=min_peaks,
        unlabelled=unlabelled,
        build=build,
        seed=seed,
    )
    about = make_chromatin_set(config, out, say=say)
    for line in set_lines(about):
        print(line)  # noqa: T201
    say(f"the set is in {out}; score a model on it with: bigbird evaluate MODEL {out} --genome …")
