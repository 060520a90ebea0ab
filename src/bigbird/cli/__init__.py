"""The command line. Every heavy import stands inside the command that needs it, so that --help answers at once."""

# The order in which --help lists the commands.
# isort: off
from bigbird.cli import training, windows, windows_chromatin, using, calibrating
from bigbird.cli import asking, summarizing, variants, explaining, representing, about

# isort: on
from bigbird.cli.entry import app, main

__all__ = [
    "about",
    "app",
    "asking",
    "calibrating",
    "explaining",
    "main",
    "representing",
    "summarizing",
    "training",
    "using",
    "variants",
    "windows",
    "windows_chromatin",
]
