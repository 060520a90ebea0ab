"""The README and the docs tell the truth: their Python runs, their commands exist, their files are there."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from bigbird import cli
from bigbird.checkpoint import packaged_models

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]


def text_of(page):
    return (ROOT / page).read_text()


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in text_of(page)])
def test_python_examples_run(page, capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text_of(page), re.DOTALL):
        exec(compile(block, page, "exec"), names)  # noqa: S102  our own README
    assert capsys.readouterr().out


def commands():
    for page in PAGES:
        for line in text_of(page).splitlines():
            match = re.match(r"\s+(bigbird .*)", line) or re.search(r"`(bigbird [^`]*)`", line)
            if match:
                yield page, match[1]


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_commands_exist_with_these_options(page, command):  # noqa: ARG001
    words = shlex.split(command, comments=True)[1:]
    known = typer.main.get_command(cli.app).commands
    if words and words[0].startswith("-"):
        return
    options = {option for parameter in known[words[0]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("page", PAGES)
def test_files_named_are_there(page):
    for name in re.findall(r"\b(?:src|docs|tests|benchmarks|examples)/[\w./-]+\w", text_of(page)):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", text_of(page)):
        assert ((ROOT / page).parent / name).exists(), name


def test_make_targets_named_exist():
    makefile = text_of("Makefile")
    for target in set(re.findall(r"make (\w+)", text_of("README.md") + text_of("CONTRIBUTING.md"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_exactly_the_readme_s_test_command():
    lines = [line for line in text_of(".ci/run").splitlines() if line and not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make test"]
    assert "    make test " in text_of("README.md")


def test_the_readme_fits_on_two_screens():
    assert len(text_of("README.md").splitlines()) <= 120


def test_the_models_that_come_with_the_package_are_small_and_have_cards():
    assert packaged_models() == ["dna", "promoter", "reader", "yeast-chromatin"]
    folders = [ROOT / "src/bigbird/pretrained" / name for name in packaged_models()]
    of_dna = [folder for folder in folders if folder.name != "reader"]
    assert sum(path.stat().st_size for folder in of_dna for path in folder.iterdir()) <= 24_000_000
    assert (ROOT / "src/bigbird/pretrained/reader/model.safetensors").stat().st_size <= 24_000_000
    assert all((folder / "README.md").is_file() for folder in folders)


CARD = "src/bigbird/pretrained/promoter/README.md"
OTHER_CARDS = [f"src/bigbird/pretrained/{name}/README.md" for name in ("dna", "reader", "yeast-chromatin")]


def measured():
    """Every number in the result files; triples of value and interval together."""
    found = set()

    def collect(value):
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            if len(value) == 3 and all(isinstance(number, float) for number in value):
                found.add(tuple(f"{number:.3f}" for number in value))
            for inner in value:
                collect(inner)
        elif isinstance(value, float):
            found.update((f"{value:.3f}", f"{value:.1f} x", f"{value:.2f} x"))

    for path in (ROOT / "benchmarks/results").glob("*.json"):
        collect(json.loads(path.read_text()))
    return found


@pytest.mark.parametrize("page", ["README.md", CARD, *OTHER_CARDS])
def test_figures_with_intervals_were_measured(page):
    triples = re.findall(r"([+-]?\d\.\d{3}) \[(-?\d\.\d{3}), (\d\.\d{3})\]", text_of(page))
    assert triples
    assert not [triple for triple in triples if (triple[0].lstrip("+"), *triple[1:]) not in measured()]


@pytest.mark.parametrize("page", ["README.md", CARD])
def test_recall_and_precision_were_measured(page):
    figures = re.findall(r"(?:recall|precision) (\d\.\d{3})", text_of(page))
    assert figures
    assert set(figures) <= measured()


@pytest.mark.parametrize("page", ["README.md", "docs/speed.md"])
def test_speeds_were_measured(page):
    figures = re.findall(r"\b(\d+\.\d+ x)(?= |$|\.|,|\))", text_of(page), re.MULTILINE)
    assert len(figures) > 10
    assert set(figures) <= measured()
