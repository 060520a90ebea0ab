"""Made-up questions with candidates: a key in the document tells which is right."""

import random

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.tasks import ChoiceQA
from reader_models import KEYS, VALUES

SMALL = ChoiceQA(max_length=64, overlap=8)


def named_value(index, *, num_words=24, num_candidates=2):
    """ "blue blue blue …", candidates "one" and "two" in any order -> "two", as blue is the second key."""
    chance = random.Random(f"named {index}")
    answer = chance.randrange(num_candidates)
    return ChoiceQuestion(
        name=f"named {index}",
        question="what is?",
        document=" ".join([KEYS[answer]] * num_words),
        candidates=tuple(chance.sample(VALUES[:num_candidates], num_candidates)),
        answer=VALUES[answer],
    )


def as_wikihop(question):
    """As WikiHop's files have it."""
    return {
        "id": question.name,
        "query": question.question,
        "candidates": list(question.candidates),
        "supports": [question.document],
        "answer": question.answer,
    }
