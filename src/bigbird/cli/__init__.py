"""The command line. Every heavy import stands inside the command that needs it, so that --help answers at once."""

from bigbird.cli import training, using, variants, about  # isort: skip  the order in which --help lists the commands
from bigbird.cli.entry import app, main

__all__ = ["about", "app", "main", "training", "using", "variants"]
