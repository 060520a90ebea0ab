"""Commands that make window sets; each kind of set registers its own on `windows`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigbird.cli.arguments import GenomeFiles
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.genomics.negatives import Reach

windows = typer.Typer(
    no_args_is_help=True,
    help="Make sets of labelled windows of a genome, with a leakage report and baselines beside.",
)
app.add_typer(windows, name="windows")


@windows.callback()
def _windows() -> None:
    """Keep `windows` a group of commands, however few there are."""


Places = Annotated[
    list[str] | None, typer.Option(help="A contig or region (chr22:1-20,000,000) of this part. May be given again.")
]


@windows.command()
def promoters(
    out: Annotated[Path, typer.Option(help="A new folder for the set.", readable=False)],
    *,
    genome: GenomeFiles = None,
    sites: Annotated[
        Path,
        typer.Option(help="Start sites: BED of one base each with its strand (EPD), GTF or GFF3.", readable=False),
    ],
    annotation: Annotated[
        list[Path] | None,
        typer.Option(help="GTF or GFF3 with more known starts, for negatives to keep away from.", readable=False),
    ] = None,
    span: Annotated[int | None, typer.Option(min=2, help="Bases of a window, its site in the middle.")] = None,
    before: Annotated[int | None, typer.Option(min=0, help="Instead of --span: bases upstream of the site.")] = None,
    after: Annotated[int | None, typer.Option(min=1, help="… and from the site on, itself included.")] = None,
    negatives: Annotated[
        str,
        typer.Option(
            help="gc-matched, shifted, genomic (real genome); substitution, permutation, dinucleotide-shuffle "
            "(synthetic, to compare with published figures)."
        ),
    ] = "gc-matched",
    train: Places = None,
    validation: Places = None,
    test: Places = None,
    build: Annotated[str, typer.Option(help="The assembly's name. Default: told from the contigs' lengths.")] = "",
    prevalence: Annotated[float, typer.Option(help="Share of promoters among all windows of a genome.")] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
) -> None:
    """Promoters and what stands against them, in parts that share no bases.

    --before 249 --after 51 gives EPD's -249..+50 letter for letter, --before 5000 --after 3000 the paper's windows.
    """
    from typing import cast

    from bigbird.genomics.negatives import Strategy
    from bigbird.genomics.promoter_findings import make_promoter_set, set_lines
    from bigbird.genomics.promoter_sets import PromoterSetConfig

    if not genome:
        raise InputError("windows are cut from a genome; give it with --genome FASTA")
    config = PromoterSetConfig(
        genomes=tuple(genome),
        sites=sites,
        annotations=tuple(annotation or ()),
        regions={"train": train or [], "validation": validation or [], "test": test or []},
        reach=_reach(span, before, after),
        negatives=cast("Strategy", negatives),
        build=build,
        seed=seed,
    )
    about = make_promoter_set(config, out, prevalence=prevalence, say=say)
    for line in set_lines(about):
        print(line)  # noqa: T201
    say(f"the set is in {out}; score a model on it with: bigbird evaluate MODEL {out} --genome …")


def _reach(span: int | None, before: int | None, after: int | None) -> Reach:
    """How far windows reach from their sites."""
    from bigbird.genomics.negatives import Reach

    if span is not None and before is None and after is None:
        return Reach(before_bp=span // 2, after_bp=span - span // 2)
    if span is None and before is not None and after is not None:
        return Reach(before_bp=before, after_bp=after)
    raise InputError("give either --span, or both --before and --after")
