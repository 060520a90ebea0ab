"""Questions from a file: .txt, .yaml or .json."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bigbird.data.files import read_lines
from bigbird.errors import DataError, require
from bigbird.reading.asking import AskedQuestion

_ENDINGS = (".txt", ".yaml", ".yml", ".json")
_FORMS = 'a list of questions, "name: question" for each, or a list of {name, question}'


def read_questions(path: Path) -> list[AskedQuestion]:
    """Questions in the order of the file.

        .txt          a question per line; empty lines and those that begin with # are left out
        .yaml, .json  a list of questions; or "Term: When does it end?" for each; or a list of {name, question}

    A question without a name goes by its own words.

    Raises DataError for a file of another kind, one without questions, and two questions of one name.
    """
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise DataError(f"{path} is no file of questions by its ending {ending!r}. Give a .txt, .yaml or .json.")
    if ending == ".txt":
        lines = [line.strip() for _, line in read_lines(path)]
        return named_questions([(line, line) for line in lines if line and line[0] != "#"], source=str(path))
    text = "\n".join(line for _, line in read_lines(path))
    value = _json(text, path) if ending == ".json" else _yaml(text, path)
    return named_questions(list(_pairs(value, str(path))), source=str(path))


def named_questions(pairs: Sequence[tuple[str, str]], *, source: str) -> list[AskedQuestion]:
    """Questions of (name, question), checked."""
    if not pairs:
        raise DataError(f"{source} holds no question. Write {_FORMS}.")
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise DataError(f"{source} has two questions of the name {name!r}. Give each a name of its own.")
        seen.add(name)
    return [AskedQuestion(name, question) for name, question in pairs]


def _json(text: str, path: Path) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _check_once([name for name, _ in pairs], str(path))
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}") from None


def _yaml(text: str, path: Path) -> Any:
    yaml = require("yaml", extra="documents", purpose=f"reading {path}")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):  # a later one of the same name would replace the first unsaid
            _check_once([str(key.value) for key, _ in node.value], str(path))
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _check_once(names: Sequence[str], source: str) -> None:
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise DataError(f"{source} has {twice!r} twice. Give each question a name of its own.")


def _pairs(value: Any, source: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, question in value.items():
            yield _words(name, f"{source}: the name {name!r}"), _words(question, f"{source}: the question of {name!r}")
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            where = f"{source}: question {number}"
            yield _pair(item, where) if isinstance(item, dict) else (_words(item, where),) * 2
    else:
        what = "is empty" if value is None else f"holds {type(value).__name__} {str(value)[:40]!r}"
        raise DataError(f"{source} {what}. Write {_FORMS}.")


def _pair(item: dict[Any, Any], where: str) -> tuple[str, str]:
    for key in item:
        if key not in ("name", "question"):
            near = difflib.get_close_matches(str(key), ("name", "question"), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{where} has an unknown field {key!r}{hint} It may have name and question.")
    question = _words(item.get("question"), f"{where}: its field question")
    return (_words(item["name"], f"{where}: its name") if "name" in item else question), question


def _words(value: Any, what: str) -> str:
    if not isinstance(value, str):
        given = "missing" if value is None else f"{value!r}, which is no text; put it in quotes"
        raise DataError(f"{what} is {given}")
    words = " ".join(value.split())
    if not words:
        raise DataError(f"{what} is empty. Write {_FORMS}.")
    return words
