"""Small questions whose answer needs a sentence or two, in the vocabulary of `reader_models`."""

import random

from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion, Sentence
from bigbird.data.questions import AnswerSpan, Question
from reader_models import KEYS, NOISE, VALUES


def question(document, sentences=(), answers=(), *, yes_no="", supporting=(), name="q", asked="what is it?", **fields):
    """A question whose sentence number i is fact ("t", i); sentences and answers are places."""
    known = tuple(Sentence(start, end, Fact("t", number)) for number, (start, end) in enumerate(sentences))
    spans = tuple(AnswerSpan(*place) for place in answers)
    accepted = (yes_no,) if yes_no else tuple(dict.fromkeys(document[start:end] for start, end in spans))
    return MultiHopQuestion(
        asked=Question(name=name, question=asked, document=document, answers=spans, accepted=accepted, **fields),
        yes_no=yes_no,
        sentences=known,
        supporting=tuple(supporting),
        facts=tuple(known[number].fact for number in supporting),
    )


def entry(index, *, num_sentences=6):
    """Of HotpotQA's format: keys with values, a sentence each, and noise; two sentences have the asked key.

    "what is red?" -> the value that both give red; "is red blue?" -> yes where both have the same value, else no
    """
    chance = random.Random(f"hop {index}")
    keys = chance.sample(KEYS, 3)
    value, other = chance.sample(VALUES, 2)
    kind = ("span", "yes", "no")[index % 3]
    one, two, false = keys
    told = [f"{one} is {value}", f"{two} is {other if kind == 'no' else value}"]
    if kind == "span":
        told = [f"{one} is {two}", f"{two} is {value}"]
    sentences = [*told, f"{false} is {chance.choice(VALUES)}"]
    sentences += [" ".join(chance.choices(NOISE, k=4)) for _ in range(num_sentences - len(sentences))]
    chance.shuffle(sentences)
    half = num_sentences // 2
    context = [["one", [f" {text}" for text in sentences[:half]]], ["two", [f" {text}" for text in sentences[half:]]]]
    facts = [[title, number] for title, some in context for number, text in enumerate(some) if text[1:] in told]
    return {
        "_id": f"hop {index}",
        "question": f"what is {one}?" if kind == "span" else f"is {one} {two}?",
        "answer": value if kind == "span" else kind,
        "type": "bridge" if kind == "span" else "comparison",
        "supporting_facts": facts,
        "context": context,
    }
