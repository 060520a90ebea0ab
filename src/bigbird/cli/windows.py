"""Commands that make window sets; each kind of set registers its own on `windows`."""

from __future__ import annotations

import typer

from bigbird.cli.entry import app

windows = typer.Typer(
    no_args_is_help=True,
    help="Make sets of labelled windows of a genome, with a leakage report and baselines beside.",
)
app.add_typer(windows, name="windows")


@windows.callback()
def _windows() -> None:
    """Keep `windows` a group of commands, however few there are."""
