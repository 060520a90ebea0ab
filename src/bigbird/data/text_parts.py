"""Long texts in parts: what is done to a whole text, such as turning it into ids, takes some hundred bytes a letter."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST_PART = 500_000  # letters


def in_parts(text: str, longest: int = LONGEST_PART) -> Iterator[str]:
    """A text in parts of at most `longest` letters; it is parted in front of white space where there is some."""
    start = 0
    while len(text) - start > longest:
        limit = start + longest
        stop = max(text.rfind("\n", start + 1, limit), text.rfind(" ", start + 1, limit))
        stop = stop if stop > start else limit
        yield text[start:stop]
        start = stop
    if start < len(text):
        yield text[start:]
