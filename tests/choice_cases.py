"""Made-up questions with candidates: the one that the document names is right."""

import random

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.tasks import ChoiceQA
from reader_models import NOISE, VALUES

SMALL = ChoiceQA(max_length=64, overlap=8)


def named_value(index, *, num_words=24, num_candidates=3):
    """ "four so four if …", three candidates, "four" among them -> "four"."""
    chance = random.Random(f"named {index}")
    candidates = tuple(chance.sample(VALUES, num_candidates))
    words = [chance.choice(NOISE) for _ in range(num_words)]
    answer = chance.choice(candidates)
    words[::2] = [answer] * len(words[::2])
    return ChoiceQuestion(
        name=f"named {index}", question="what is?", document=" ".join(words), candidates=candidates, answer=answer
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
