"""How figures are told: on the screen, in JSON, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bigbird.cli.entry import say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.tasks import Estimate, Task


def check_table(file: Path | None, task: Task) -> None:
    """Raise when --out asks for a table of labels and the model's figures are none."""
    from bigbird.tasks import BinClassification, Classification

    has_table = isinstance(task, BinClassification) or (isinstance(task, Classification) and task.answer == "many")
    if file is not None and is_table(file) and not has_table:
        raise InputError(
            f"--out {file} asks for a table with a line per label, which there is for models of any number of labels; "
            f"name a .json file"
        )


def is_table(file: Path) -> bool:
    """Whether a file's name asks for a table of labels."""
    return file.suffix.lower() == ".tsv"


def tell_scores(
    scores: Mapping[str, Estimate], labels: Sequence[str], file: Path | None, *, model: str, data: Path
) -> None:
    """Print the figures a person reads first, all of them where they are few; write all to a file."""
    from bigbird.tasks.metrics import headline

    shown = headline(scores)
    for name, score in shown.items():
        print(f"{name}\t{score}")  # noqa: T201
    if file is None:
        if len(shown) < len(scores):
            say(f"figures of single labels: {len(scores) - len(shown)} more, with --out FILE.tsv")
        return
    write_scores(file, scores, labels, {"model": model, "data": str(data)})


def write_scores(
    file: Path, scores: Mapping[str, Estimate], labels: Sequence[str], about: Mapping[str, object]
) -> None:
    """A table with a line per label when the file ends in .tsv, else all figures as JSON, with what they are about."""
    from bigbird.data.files import json_text, written_whole
    from bigbird.genomics.chromatin_scores import write_label_table

    with written_whole(file) as path:
        if is_table(file):
            with path.open("w") as table:
                write_label_table(table, labels, scores)
        else:
            figures = {name: dict(score._asdict()) for name, score in scores.items()}
            path.write_text(json_text({**about, "scores": figures}))
