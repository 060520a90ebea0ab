"""Made-up pages of Natural Questions' form: lines of words, one of which holds the answer."""

import random

import numpy as np

from bigbird.data.long_short_questions import Annotation, LongShortQuestion, TokenSpan
from bigbird.tasks import LongShortQA
from reader_models import KEYS, NOISE, VALUES

SMALL = LongShortQA(max_length=64, overlap=32, max_answer_tokens=8, max_question_tokens=16)


def page(lines, **fields):
    """A question about lines of words, each a top-level candidate between two tags."""
    words, places, candidates = [], [], []
    length = 0
    for line in lines:
        start = len(places)
        places.append((length, length))
        for number, word in enumerate(line):
            length += bool(words) if number == 0 else 1
            words.append(("\n" if number == 0 else " ") * bool(words) + word)
            places.append((length, length + len(word)))
            length += len(word)
        places.append((length, length))
        candidates.append(TokenSpan(start, len(places)))
    values = {"question": "what is it?", "name": "q", "top_level": (True,) * len(candidates)} | fields
    return LongShortQuestion(
        document="".join(words),
        places=np.array(places, np.int64).reshape(-1, 2),
        candidates=tuple(candidates),
        **values,
    )


def answered(question, line, first=None, last=None, yes_no=""):
    """An annotation: a line, and of its words those from `first` to `last`, counted from 0."""
    long = question.candidates[line]
    short = () if first is None else (TokenSpan(long.start + 1 + first, long.start + 2 + last),)
    return Annotation(long, short, yes_no)


def needle(index, *, num_lines=4, words=5):
    """Lines of noise, one of which has "red" and a value: that line and that value answer; every fourth has none."""
    chance = random.Random(f"page {index}")
    lines = [[chance.choice(NOISE) for _ in range(words)] for _ in range(num_lines)]
    if index % 4 == 0:
        return page(lines, name=f"page {index}", annotations=(Annotation(),))
    line, place = chance.randrange(num_lines), chance.randrange(words - 1)
    lines[line][place : place + 2] = [KEYS[0], chance.choice(VALUES)]
    asked = page(lines, name=f"page {index}")
    return page(lines, name=f"page {index}", annotations=(answered(asked, line, place + 1, place + 1),))


def as_natural_questions(question):
    """As the simplified files have it."""
    words = [question.document[start:end] or "<P>" for start, end in question.places.tolist()]

    def place(span):
        start, end = span[:2] if span else (-1, -1)
        return {"start_token": start, "end_token": end}

    return {
        "example_id": question.name,
        "question_text": question.question,
        "document_text": " ".join(words),
        "long_answer_candidates": [place(span) | {"top_level": True} for span in question.candidates],
        "annotations": [
            {
                "long_answer": place(one.long),
                "short_answers": [place(span) for span in one.short],
                "yes_no_answer": one.yes_no.upper() or "NONE",
            }
            for one in question.annotations
        ],
    }
