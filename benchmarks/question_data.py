"""The question sets of a data folder in forms that the package reads: its own plain lines, and HotpotQA's format.

    python benchmarks/question_data.py ../shared/data/nlp --out questions

    cuad.jsonl, covidqa.jsonl    for `bigbird.data.question_lines.read_questions`
    hotpotqa.jsonl               for `bigbird.data.hotpotqa_files.read_hotpotqa`, with supporting sentences
    hotpotqa_dev.jsonl, musique.jsonl, 2wiki.jsonl    likewise; a paragraph counts as one sentence, supporting or not
    cuad.test.jsonl …            parts of cuad and covidqa by document: 80 % train, 4 % validation, 16 % test
    multihop.train.jsonl, multihop.test.jsonl    the last three together, each question once, among paragraphs of its
                                 set that make --letters, shuffled; 70 % of the questions by their hash, and the rest
    reader.train.jsonl           what the small reader learns from: --squad, the train parts, and of the multi-hop sets
                                 the 70 % of questions whose hash is lowest, those with a place of an answer

hotpotqa_dev.jsonl and the questions "dev" of hotpotqa.jsonl overlap. To a question of 2wiki come distractors out of its
corpus, as many as make --paragraphs paragraphs, drawn for its name and shuffled with the supporting ones.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bigbird.data.files import written_whole
from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.data.question_lines import read_questions, write_questions
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.squad_files import read_squad

Row = Mapping[str, Any]

PARAGRAPHS = 40
LETTERS = 15_500  # 3,500 tokens of BERT, 3,950 at most
PARTS = (("train", 0.8), ("validation", 0.84), ("test", 1.0))  # of documents, up to this hash
MULTI_HOP_TRAIN = 0.7  # of questions


def rows(path: Path) -> Iterator[Row]:
    """Objects of a compressed file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def squad_questions(path: Path) -> Iterator[Question]:
    """Those of cuad and covidqa: a document a line, its questions as SQuAD has them."""
    for row in rows(path):
        for asked in row["qas"]:
            answers = asked["answers"]
            spans = (AnswerSpan(one["answer_start"], one["answer_start"] + len(one["text"])) for one in answers)
            yield Question(
                name=str(asked["id"]),
                title=str(row.get("title") or row["document_id"]),
                question=asked["question"],
                document=row["context"],
                answers=tuple(dict.fromkeys(spans)),
                accepted=tuple(one["text"] for one in answers),
                is_impossible=asked["is_impossible"],
            )


def hotpotqa(folder: Path) -> Iterator[Row]:
    """As the file has them: 100 of the training set and 100 of dev, `split` says which; those without an id get one."""
    for number, row in enumerate(rows(folder / "hotpotqa/hotpot_sp.jsonl.gz")):
        yield {**row, "_id": row["id"] or f"{row['split']}-{number}"}


def hotpotqa_dev(folder: Path) -> Iterator[Row]:
    """Questions of dev with supporting paragraphs."""
    for row in rows(folder / "hotpotqa/hotpot_dev500.jsonl.gz"):
        paragraphs = [(one["title"], one["text"], one["supporting"]) for one in row["paragraphs"]]
        yield by_paragraph(row, row["answers"], paragraphs)


def musique(folder: Path) -> Iterator[Row]:
    """Questions of the training set with 20 paragraphs each; several may have one title, so they are numbered."""
    for row in rows(folder / "musique/musique_train100.jsonl.gz"):
        paragraphs = [
            (f"{one['title']} ({one['idx']})", one["paragraph_text"], one["is_supporting"]) for one in row["paragraphs"]
        ]
        yield by_paragraph(row, [row["answer"], *row["answer_aliases"]], paragraphs)


def two_wiki(folder: Path, num_paragraphs: int) -> Iterator[Row]:
    """Questions whose paragraphs lie among others of the corpus."""
    corpus = {row["title"]: row["text"] for row in rows(folder / "2wiki/corpus.jsonl.gz")}
    titles = sorted(corpus)
    for row in rows(folder / "2wiki/questions.jsonl.gz"):
        draw = random.Random(row["_id"])  # noqa: S311
        supporting = list(dict.fromkeys(title for title, _ in row["supporting_facts"]))
        others = [title for title in draw.sample(titles, num_paragraphs) if title not in supporting]
        chosen = supporting + others[: max(num_paragraphs - len(supporting), 0)]
        draw.shuffle(chosen)
        paragraphs = [(title, corpus[title], title in supporting) for title in chosen]
        yield by_paragraph(row, [row["answer"]], paragraphs)


def by_paragraph(row: Row, answers: list[str], paragraphs: Iterable[tuple[str, str, bool]]) -> Row:
    """A question in HotpotQA's format, each paragraph a sentence."""
    every = list(paragraphs)
    return {
        "_id": row.get("_id") or row["id"],
        "question": row["question"],
        "answer": answers[0],
        "answer_aliases": answers[1:],
        "type": row.get("type", ""),
        "context": [[title, [text]] for title, text, _ in every],
        "supporting_facts": [[title, 0] for title, _, is_supporting in every if is_supporting],
    }


def share(text: str) -> float:
    """Where a text falls from 0 to 1, the same everywhere."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def part_of(question: Question) -> str:
    """The part its document belongs to."""
    place = share(question.title + question.document[:200])
    return next(name for name, end in PARTS if place < end)


def multi_hop_train(out: Path) -> Iterator[Question]:
    """Questions of the multi-hop sets to learn spans from, each once."""
    seen: set[str] = set()
    for name in ("hotpotqa", "hotpotqa_dev", "musique", "2wiki"):
        for question in (one.asked for one in read_hotpotqa(out / f"{name}.jsonl")):
            is_train = share(question.question) < MULTI_HOP_TRAIN
            if is_train and question.answers and question.question not in seen:
                seen.add(question.question)
                yield question


def write_parts(out: Path, squad: Path | None) -> None:
    """Write the parts of cuad and covidqa, and what the reader learns from."""
    learned = list(read_squad(squad)) if squad else []
    for name in ("cuad", "covidqa"):
        questions = list(read_questions(out / f"{name}.jsonl"))
        for part, _ in PARTS:
            write_questions(out / f"{name}.{part}.jsonl", [one for one in questions if part_of(one) == part])
        learned += [one for one in questions if part_of(one) == "train"]
    write_questions(out / "reader.train.jsonl", [*learned, *multi_hop_train(out)])


def padded(name: str, questions: Sequence[Row], letters: int) -> Iterator[Row]:
    """Questions in HotpotQA's format among distractors: paragraphs of other questions of the set."""
    pool = {title: texts for one in questions for title, texts in one["context"]}
    titles = sorted(pool)
    for one in questions:
        draw = random.Random(one["_id"])  # noqa: S311
        supporting = {title for title, _ in one["supporting_facts"]}
        context = [(title, texts) for title, texts in one["context"] if title in supporting]
        own = [(title, texts) for title, texts in one["context"] if title not in supporting]
        others = [(title, pool[title]) for title in draw.sample(titles, len(titles))]
        missing = letters - sum(len(title) + sum(map(len, texts)) for title, texts in context)
        names = {title for title, _ in context}
        for title, texts in [*own, *others]:
            size = len(title) + sum(map(len, texts))
            if title not in names and size <= missing:
                context.append((title, texts))
                names.add(title)
                missing -= size
        draw.shuffle(context)
        yield {**one, "_id": f"{name}:{one['_id']}", "context": context}


def write_multi_hop(out: Path, letters: int) -> None:
    """Write the questions that take several paragraphs, padded, in two parts."""
    parts: dict[str, list[Row]] = {"train": [], "test": []}
    for name in ("hotpotqa_dev", "musique", "2wiki"):
        with (out / f"{name}.jsonl").open(encoding="utf-8") as lines:
            questions = list({row["question"]: row for row in map(json.loads, lines)}.values())
        for one in padded(name, questions, letters):
            parts["train" if share(one["question"]) < MULTI_HOP_TRAIN else "test"].append(one)
    for part, chosen in parts.items():
        write_lines(out / f"multihop.{part}.jsonl", chosen)


def write_lines(path: Path, lines: Iterable[Row]) -> None:
    """One object a line."""
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def main() -> None:
    """Write all sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--paragraphs", type=int, default=PARAGRAPHS, help="of a question of 2wiki")
    parser.add_argument("--letters", type=int, default=LETTERS, help="of a padded question of several hops")
    parser.add_argument("--squad", type=Path, help="a file of SQuAD 2.0, which the reader learns from too")
    given = parser.parse_args()
    for name in ("cuad", "covidqa"):
        write_questions(given.out / f"{name}.jsonl", squad_questions(given.data / name / f"{name}.jsonl.gz"))
    sets: dict[str, Callable[[Path], Iterator[Row]]] = {
        "hotpotqa": hotpotqa,
        "hotpotqa_dev": hotpotqa_dev,
        "musique": musique,
        "2wiki": lambda folder: two_wiki(folder, given.paragraphs),
    }
    for name, questions in sets.items():
        write_lines(given.out / f"{name}.jsonl", questions(given.data))
    write_parts(given.out, given.squad)
    write_multi_hop(given.out, given.letters)


if __name__ == "__main__":
    main()
