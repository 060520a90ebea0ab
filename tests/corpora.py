"""Small corpora for tests."""

import hashlib
import io
import json
from pathlib import Path

from rich.console import Console

from bigbird.data.prepare_config import PrepareConfig
from bigbird.data.preparing import prepare
from bigbird.data.preparing_progress import PreparingProgress
from helpers import dna


def dna_lines(path, count=40, *, longest=400):
    """A file of JSON lines with DNA of different lengths, named a0, a1, …"""
    rows = [{"id": f"a{number}", "text": dna(20 + number * 131 % longest, number)} for number in range(count)]
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Path(path)


def prepared(folder, *sources, workers=1, **config):
    """Prepare a corpus with single bases as tokens; returns its manifest and what was said."""
    said = io.StringIO()
    values = {"tokenizer": "single-base", "name_field": "id", "held_out": 0.2, "shard_letters": 2000}
    asked = PrepareConfig(sources=tuple(Path(source) for source in sources), **values | config)
    manifest = prepare(asked, folder, workers=workers, progress=PreparingProgress(Console(file=said, width=400)))
    return manifest, said.getvalue()


def contents(folder):
    """SHA-256 of every file in a folder, by its name."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
