"""The program: how every command begins and ends, and what is said to the user."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.core import TyperGroup

from bigbird.errors import BigBirdError, InputError, RunStopped

_SECONDS_TO_SPEAK = 2.0

_UsageError: Any = typer.BadParameter.__bases__[0]  # Typer brings its own click or uses the installed one


class _Commands(TyperGroup):
    """All commands; they end as promised, where Typer by itself draws boxes and swallows Ctrl-C and a closed pipe."""

    def main(self, *arguments: Any, **options: Any) -> None:
        """Read the command line, run the chosen command and leave with its exit code."""
        with as_promised():
            code = super().main(*arguments, **options | {"standalone_mode": False})
        raise SystemExit(code)

    def invoke(self, ctx: Any) -> None:
        """Run the chosen command."""
        with as_promised():
            super().invoke(ctx)


@contextmanager
def as_promised() -> Iterator[None]:
    """A user's mistake becomes one line and exit code 2, never a traceback; a closed pipe is no mistake."""
    try:
        yield
        sys.stdout.flush()  # a closed pipe shows here at the latest, not when Python takes its leave
    except _UsageError as error:
        _say_usage(error)
        raise SystemExit(2) from None
    except RunStopped as stop:
        if speaks():
            say(f"bigbird: {stop}")
        raise SystemExit(stop.exit_code) from None
    except BigBirdError as error:
        _let_the_first_speak()
        say(f"bigbird: {error}")
        raise SystemExit(2 if isinstance(error, InputError | ImportError) else 1) from None
    except BrokenPipeError:  # the reader of our output has had enough, as `head` does
        _leave_quietly()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # how Rich, which writes the help, takes a closed pipe
            _leave_quietly()
        raise
    except OSError as error:
        _let_the_first_speak()
        say(f"bigbird: {error.filename or 'file'}: {error.strerror or error}")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        say("bigbird: stopped")
        raise SystemExit(130) from None


def _say_usage(error: Any) -> None:
    """One line for what Typer finds wrong, and where to look; nothing when it has shown the help instead."""
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    if message:
        stop = "" if message[-1] in ".?" else "."
        where = f"{stop} See: {error.ctx.command_path} --help" if error.ctx else ""
        say(f"bigbird: {message[0].lower()}{message[1:]}{where}")


def _leave_quietly() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        _silence(stream)
    raise SystemExit(0) from None


def _silence(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, or Python complains of it when it takes its leave."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="BigBird: sparse-attention transformers for long documents and genomes.",
)


def main() -> None:
    """Run the command line."""
    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False, markup=False)],
    )
    app()


def speaks() -> bool:
    """False in all but one process of a run that has several."""
    return os.environ.get("RANK", "0") == "0"


def _let_the_first_speak() -> None:
    """Wait, in another process than the first, to say what is wrong.

    Mistakes are mostly found by all at once; the first says it and leaves, and whoever started them ends the others.
    """
    if not speaks():
        time.sleep(_SECONDS_TO_SPEAK)


def say(text: str) -> None:
    """Print a line on the error stream: what a command has done, found or refused."""
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:  # nobody listens; that is no reason to stop, nor to end otherwise
        _silence(sys.stderr)
