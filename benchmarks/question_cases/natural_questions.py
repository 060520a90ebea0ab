"""Natural Questions' files in the original form, made of 2WikiMultihopQA: its paragraphs are pages, people disagree."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bigbird.data.long_short_questions import Annotation, LongShortQuestion, TokenSpan
from bigbird.data.natural_questions_files import read_natural_questions
from bigbird.tasks.long_short_scores import LongShortAnswer, ThresholdScores, long_short_scores
from question_cases import official
from question_cases.answers import draw
from question_cases.official import Compared, write

ANNOTATORS = 5
OPENING, CLOSING = ("<p>",), ("</p>",)
SETS = ("2wiki", "hotpotqa_dev", "musique", "hotpotqa")

_PARTS = re.compile(r"</?\w+>|\w+|[^\w\s]")


def natural_questions(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """Answers by tokens, by bytes and by both."""
    gold = work / "gold.jsonl.gz"
    rows = [json.loads(line) for name in SETS for line in (questions / f"{name}.jsonl").read_text().splitlines()]
    with gzip.open(gold, "wt", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            file.write(json.dumps(example(row, number)) + "\n")
    asked = list(read_natural_questions(gold))
    answers = [answer(one, draw(one.name, turn)) for one in asked]
    table = {"predictions": [prediction(*pair) for pair in zip(asked, answers, strict=True)]}
    theirs = official.natural_questions(scripts, gold, write(work / "answers.json", table))
    ours = long_short_scores(asked, answers)
    figures = {**beside("long", ours.long, theirs), **beside("short", ours.short, theirs)}
    names = ("natural-questions/nq_eval.py", "natural-questions/eval_utils.py")
    return Compared(len(asked), figures, official.hashes(scripts, *names))


def beside(kind: str, ours: ThresholdScores, theirs: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Their names are long-best-threshold-f1 and so on."""
    best = {"-f1": ours.f1.value, "-precision": ours.precision, "-recall": ours.recall, "": ours.threshold}
    figures = {
        f"{kind}-best-threshold{name}": (value, theirs[f"{kind}-best-threshold{name}"]) for name, value in best.items()
    }
    for at in ours.at_precision:
        for name, value in (("recall", at.recall), ("precision", at.precision)):
            key = f"{kind}-{name}-at-precision>={at.target:.2}"
            figures[key] = (value, theirs[key])
    return figures


def example(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A page of a few paragraphs, with five annotations."""
    generator = draw(f"page {number}", 0)
    html = (
        "<html>" + "".join(f"<p>{re.sub('[<>]', '', ''.join(some))}</p>" for _, some in row["context"][:6]) + "</html>"
    )
    tokens = [token(match.group(), len(html[: match.start()].encode())) for match in _PARTS.finditer(html)]
    starts = [place for place, one in enumerate(tokens) if one["token"] in OPENING]
    ends = [place + 1 for place, one in enumerate(tokens) if one["token"] in CLOSING]
    candidates = [{**place(tokens, *span), "top_level": True} for span in zip(starts, ends, strict=True)]
    favourite = generator.randrange(len(candidates))
    return {
        "example_id": number - 500,
        "question_text": row["question"],
        "document_url": f"page {number}",
        "document_html": html,
        "document_tokens": tokens,
        "long_answer_candidates": candidates,
        "annotations": [annotation(tokens, candidates, favourite, generator) for _ in range(ANNOTATORS)],
    }


def token(text: str, start: int) -> dict[str, Any]:
    """With its bytes."""
    return {"token": text, "start_byte": start, "end_byte": start + len(text.encode()), "html_token": text[0] == "<"}


def place(tokens: Sequence[Mapping[str, Any]], start: int, end: int) -> dict[str, int]:
    """Tokens and bytes; none from -1 to -1."""
    bytes_of = (-1, -1) if start < 0 else (tokens[start]["start_byte"], tokens[end - 1]["end_byte"])
    return {"start_token": start, "end_token": end, "start_byte": bytes_of[0], "end_byte": bytes_of[1]}


def annotation(
    tokens: Sequence[Mapping[str, Any]],
    candidates: Sequence[Mapping[str, Any]],
    favourite: int,
    generator: random.Random,
) -> dict[str, Any]:
    """Nothing, a paragraph, one with parts of it, or one with yes or no; mostly the same paragraph."""
    nothing = {"long_answer": place(tokens, -1, -1), "short_answers": [], "yes_no_answer": "NONE"}
    if generator.random() < 0.5:
        return nothing
    chosen = candidates[favourite if generator.random() < 0.8 else generator.randrange(len(candidates))]
    long = {key: chosen[key] for key in ("start_token", "end_token", "start_byte", "end_byte")}
    start, end = long["start_token"] + 1, long["end_token"] - 1
    if generator.random() < 0.2 or end - start < 6:
        return {**nothing, "long_answer": long, "yes_no_answer": generator.choice(["YES", "NO", "NONE"])}
    spans = [(start, start + 2), (start + 3, start + 5), (end - 1, end)]
    return {
        **nothing,
        "long_answer": long,
        "short_answers": [place(tokens, *span) for span in spans[: generator.randint(0, 3)]],
    }


def answer(question: LongShortQuestion, generator: random.Random) -> LongShortAnswer:
    """An annotator's answer, by tokens or bytes, perhaps changed; surer where it is unchanged, scores with ties."""
    own = generator.choice(question.annotations)
    is_changed = generator.random() < 0.5
    if is_changed:
        own = changed(question, own, generator)
    form = generator.choice(("tokens", "bytes", "both"))
    surer = 0.0 if is_changed else 2.0
    return LongShortAnswer(
        formed(own.long, form) if own.long else None,
        () if own.yes_no else tuple(formed(span, form) for span in own.short),
        own.yes_no,
        round(generator.gauss(surer, 1), 1),
        round(generator.gauss(surer, 1), 1),
    )


def changed(question: LongShortQuestion, own: Annotation, generator: random.Random) -> Annotation:
    """Another paragraph, parts in another order or fewer or one twice, yes for no."""
    return generator.choice(
        (
            own._replace(long=generator.choice(question.candidates)),
            own._replace(short=own.short[::-1]),
            own._replace(short=own.short[1:]),
            own._replace(short=own.short[:1] * 2, yes_no=""),
            own._replace(short=(), yes_no="yes"),
        )
    )


def formed(span: TokenSpan, form: str) -> TokenSpan:
    """What a system gives: tokens alone, bytes alone, both."""
    if form == "both":
        return span
    return TokenSpan(*span[:2]) if form == "tokens" else TokenSpan(-1, -1, *span[2:])


def prediction(question: LongShortQuestion, given: LongShortAnswer) -> dict[str, Any]:
    """In the official form."""
    return {
        "example_id": int(question.name),
        "long_answer": written(given.long or TokenSpan(-1, -1)),
        "long_answer_score": given.long_score,
        "short_answers": [written(span) for span in given.short],
        "short_answers_score": given.short_score,
        "yes_no_answer": given.yes_no or "none",
    }


def written(span: TokenSpan) -> dict[str, int]:
    """With the names of the format."""
    return dict(zip(("start_token", "end_token", "start_byte", "end_byte"), span, strict=True))
