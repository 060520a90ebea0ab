"""The command line. Every heavy import stands inside the command that needs it, so that --help answers at once."""

from bigbird.cli import training, windows, using, calibrating, representing, about  # isort: skip  as in --help
from bigbird.cli.entry import app, main

__all__ = ["about", "app", "calibrating", "main", "representing", "training", "using", "windows"]
