"""Answers as systems give them, right, nearly right and wrong in many ways, drawn for a question's name and a round."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion
from bigbird.data.questions import Question
from bigbird.tasks.clause_scores import FoundText
from bigbird.tasks.multi_hop_scores import MultiHopAnswer

ODD = ("", "The", "a", "yes", "no", "noanswer", "Yes.", "…", " ", "“—”", "naïve\u00a0Ünïcode", "‘the’ an_d", "🦜 A b")


def draw(name: str, turn: int) -> random.Random:
    """A generator of this question and round."""
    return random.Random(f"{turn} {name}")  # noqa: S311


def text_answer(question: Question, generator: random.Random) -> str:
    """One of many kinds of answers."""
    true = generator.choice(question.accepted) if question.accepted else ""
    words = true.split(" ")
    kinds: Sequence[Callable[[], str]] = (
        lambda: true,
        lambda: f"The {true.upper()}",
        lambda: f"“{true}”, {true.lower()}.",
        lambda: f"{true}!?;:-_'s",
        lambda: " ".join(words[1:]),
        lambda: " ".join(words[: generator.randint(0, len(words))]),
        lambda: true.replace(" ", "\u00a0").replace("-", "–"),
        lambda: wider(question, true, generator),
        lambda: " ".join(generator.sample(words, len(words))),
        lambda: other_place(question, generator),
        lambda: other_place(question, generator),
        lambda: "; ".join(question.accepted[:3]),
        lambda: generator.choice(ODD),
    )
    return generator.choice(kinds)()


def other_place(question: Question, generator: random.Random) -> str:
    """Up to a hundred characters from anywhere."""
    start = generator.randrange(len(question.document))
    return question.document[start : start + generator.randint(1, 100)]


def wider(question: Question, true: str, generator: random.Random) -> str:
    """The true place with some characters before or after."""
    start = question.document.find(true)
    return question.document[max(start - generator.randint(0, 30), 0) : start + len(true) + generator.randint(0, 30)]


def found_texts(question: Question, generator: random.Random) -> list[FoundText]:
    """Up to ten texts with probabilities, in steps too and at the ends of the scale, equal texts and empty ones."""
    steps = (0.0, 0.0005, 0.001, 0.01, 0.29, 0.5, 0.58, 0.99, 1.0)
    texts = [text_answer(question, generator) for _ in range(generator.randint(0, 9))]
    texts += texts[: generator.randint(0, 1)]
    texts += [true for true in question.accepted if generator.random() < 0.9]
    return [FoundText(text, generator.choice((generator.random(), generator.choice(steps)))) for text in texts]


def multi_hop_answer(question: MultiHopQuestion, generator: random.Random) -> MultiHopAnswer:
    """An answer with facts: the true ones, some of them, others, one twice, none."""
    some = generator.sample(question.sentences, min(4, len(question.sentences)))
    others = tuple(sentence.fact for sentence in some)
    kinds = (
        question.facts,
        question.facts[:1] + others[:1],
        question.facts + others[:2],
        question.facts * 2,
        tuple(Fact(title, number + 1) for title, number in question.facts),
        others,
        (),
    )
    return MultiHopAnswer(text_answer(question.asked, generator), generator.choice(kinds))
