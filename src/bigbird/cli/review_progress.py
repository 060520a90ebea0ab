"""How far a review is: a bar for someone who looks, a line for each document in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bigbird.cli.answers_shown import shown
from bigbird.cli.entry import say

Report = Callable[[str, int], None]

_NAME_LETTERS = 40


@contextmanager
def review_progress(num_documents: int, num_questions: int) -> Iterator[Report]:
    """A function to be told of (document, 0) as it is begun, and of (document, questions) as they are answered."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(num_documents)
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        task, num_begun = bar.add_task("", total=num_documents * num_questions), 0

        def report(name: str, num_answered: int) -> None:
            nonlocal num_begun
            if num_answered:
                bar.advance(task, num_answered)
            else:  # also past what a document that could not be read has left
                bar.update(task, completed=num_begun * num_questions, description=shown(name)[-_NAME_LETTERS:])
                num_begun += 1

        yield report


def _lines(num_documents: int) -> Report:
    num_begun = 0

    def report(name: str, num_answered: int) -> None:
        nonlocal num_begun
        if not num_answered:
            num_begun += 1
            say(f"{num_begun:,} of {num_documents:,}: {shown(name)}")

    return report
