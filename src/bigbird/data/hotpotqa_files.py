"""Files in HotpotQA's format (Yang et al. 2018, arXiv 1809.09600), distractor and fullwiki; 2WikiMultihopQA's too.

    [{"_id": …, "question": …, "answer": …, "type": …, "supporting_facts": [[title, number], …],
      "context": [[title, [sentence, …]], …]}, …]

A list of further accepted answers may stand under `answer_aliases`, as in MuSiQue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion, Sentence
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.text_places import word_places

log = logging.getLogger(__name__)

_YES_NO = ("yes", "no")


class _Paragraph(NamedTuple):
    title: str
    start: int  # of its title in the document
    end: int


def read_hotpotqa(path: Path) -> Iterator[MultiHopQuestion]:
    """The questions of a file, in its order; .json or one a line in .jsonl, plain or gzip.

    The paragraphs of a question make one document: each its title on a line of its own, then its sentences as they
    stand in the file, and an empty line between paragraphs. An answer's places are those in supporting sentences;
    where these do not spell it, in supporting paragraphs and their titles, else anywhere; capitals count unless the
    document spells it with others alone.

    Supporting facts that name no sentence of the context stay among the `facts` and are counted and logged. A test
    set, which has neither answers nor facts, is read without them.
    """
    without_sentence = 0
    for entry in read_entries(path):
        question = _question(entry)
        without_sentence += len(set(question.facts)) - len(question.supporting)
        yield question
    if without_sentence:
        log.warning("%s: %d supporting facts name a sentence that the context does not hold", path, without_sentence)


def _question(entry: Entry) -> MultiHopQuestion:
    document, paragraphs, sentences = _document(entry)
    facts = tuple(_facts(entry))
    first: dict[Fact, int] = {}
    for number, sentence in enumerate(sentences):
        first.setdefault(sentence.fact, number)
    supporting = tuple(sorted({first[fact] for fact in facts if fact in first}))
    answer = entry.text("answer", "")
    is_yes_no = answer.lower() in _YES_NO
    accepted = (answer, *(entry.texts("answer_aliases") if entry.has("answer_aliases") else ())) if answer else ()
    titles = {fact.title for fact in facts}
    regions = (
        [AnswerSpan(sentences[number].start, sentences[number].end) for number in supporting],
        [AnswerSpan(start, end) for title, start, end in paragraphs if title in titles],
        [AnswerSpan(0, len(document))],
    )
    return MultiHopQuestion(
        asked=Question(
            name=entry.label("_id" if entry.has("_id") else "id"),
            question=entry.text("question"),
            document=document,
            answers=() if is_yes_no else _first_places(document, accepted, regions),
            accepted=tuple(dict.fromkeys(accepted)),
        ),
        yes_no=answer.lower() if is_yes_no else "",
        sentences=sentences,
        supporting=supporting,
        facts=facts,
        kind=entry.text("type", ""),
    )


def _document(entry: Entry) -> tuple[str, list[_Paragraph], tuple[Sentence, ...]]:
    parts: list[str] = []
    length = 0

    def add(part: str) -> int:
        nonlocal length
        parts.append(part)
        length += len(part)
        return length

    paragraphs, sentences = [], []
    for title, texts in _context(entry):
        start = add("\n\n") if parts else 0
        add(f"{title}\n")
        for number, text in enumerate(texts):
            begin = length
            sentences.append(Sentence(begin, add(text), Fact(title, number)))
        paragraphs.append(_Paragraph(title, start, length))
    return "".join(parts), paragraphs, tuple(sentences)


def _context(entry: Entry) -> Iterator[tuple[str, list[str]]]:
    for title, texts in _pairs(entry, "context", "[title, [sentence, …]]"):
        sentences = [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
        if not isinstance(texts, list) or len(sentences) != len(texts):
            raise entry.wrong("context", "[title, [sentence, …]] pairs")
        yield title, sentences


def _facts(entry: Entry) -> Iterator[Fact]:
    for title, number in _pairs(entry, "supporting_facts", "[title, number]") if entry.has("supporting_facts") else ():
        if isinstance(number, bool) or not isinstance(number, int):
            raise entry.wrong("supporting_facts", "[title, number] pairs")
        yield Fact(title, number)


def _pairs(entry: Entry, name: str, form: str) -> Iterator[tuple[str, object]]:
    for item in entry.items(name):
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise entry.wrong(name, f"{form} pairs")
        yield item[0], item[1]


def _first_places(
    document: str, texts: Sequence[str], regions: Sequence[Sequence[AnswerSpan]]
) -> tuple[AnswerSpan, ...]:
    """Where the texts stand in the first of the regions that holds any."""
    everywhere = _places(document, texts, match_case=True) or _places(document, texts, match_case=False)
    for region in regions:
        inside = [span for span in everywhere if any(a <= span.start and span.end <= b for a, b in region)]
        if inside:
            return tuple(inside)
    return ()


def _places(document: str, texts: Sequence[str], *, match_case: bool) -> list[AnswerSpan]:
    return sorted({span for text in texts for span in word_places(document, text, match_case=match_case)})
