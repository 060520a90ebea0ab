"""What several commands are given: models, genomes, settings, files to write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.data.genome import Genome

Item = TypeVar("Item")


# readable=False: that a path can be read is checked where it is read, and told in one line as all mistakes are.
Model = Annotated[str, typer.Argument(help="A model folder, or the name of a model that comes with bigbird.")]
GenomeFiles = Annotated[
    list[Path] | None,
    typer.Option("--genome", help="FASTA file(s) that places refer to. May be given several times.", readable=False),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: name.name=value. May be given several times.")
]


def new_file(out: str | None, *inputs: Path) -> Path | None:
    """The file that --out names, checked before any work is done. A path in words: `Path` forgets a "/" at the end."""
    from bigbird.data.files import check_new_file

    if out is None:
        return None
    if not out or out.endswith(("/", os.sep)):
        raise InputError(f"--out {out!r} names {'a folder' if out else 'nothing'}; name a file, new or to be replaced")
    check_new_file(Path(out), *inputs)
    return Path(out)


def opened_genome(paths: list[Path] | None) -> Genome | None:
    """The genome of --genome's files; None without one."""
    from bigbird.data.genome import Genome

    return Genome.open(*paths) if paths else None


def watched(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """The items, with a progress bar when someone is looking."""
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=what, total=total, console=console, disable=not console.is_terminal)
