"""Text as sentencepiece wants it: characters replaced, spaces merged and written ▁, all with their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigbird.tokenizers.charsmap import CharacterMap, Mapped

_SPACE, _MARK = ord(" "), ord("▁")


@dataclass(frozen=True)
class Normalizer:
    """The steps of sentencepiece's normalizer.

        " a  ﬁt "  ->  ▁ a ▁ f i t      starts 1 1 2 4 4 5, ends 1 2 3 5 5 6

    add_prefix    put ▁ in front, as of the first word
    merge_spaces  keep the first of several spaces, none at the ends
    """

    characters: CharacterMap
    add_prefix: bool
    merge_spaces: bool

    def apply(self, text: str) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
        """Normalized text and, for each of its characters, start and end in `text`."""
        mapped = self.characters.apply(text)
        if self.merge_spaces:
            mapped = _chosen(mapped, _first_of_spaces(mapped.codes == _SPACE))
        codes = np.where(mapped.codes == _SPACE, np.uint32(_MARK), mapped.codes)
        mapped = Mapped(codes, mapped.starts, mapped.ends)
        if self.merge_spaces:
            words = np.flatnonzero(codes != _MARK)  # marks that the text itself had at its end go too
            mapped = _chosen(mapped, slice(0, words[-1] + 1 if len(words) else 0))
        if self.add_prefix and (len(mapped.codes) or (text and not self.merge_spaces)):
            mapped = _with_prefix(mapped)
        return mapped.codes.tobytes().decode("utf-32-le"), mapped.starts, mapped.ends


def _first_of_spaces(is_space: NDArray[np.bool_]) -> NDArray[np.bool_]:
    follows_space = np.concatenate(([True], is_space[:-1]))[: len(is_space)]
    return ~(is_space & follows_space)


def _chosen(mapped: Mapped, which: NDArray[np.bool_] | slice) -> Mapped:
    return Mapped(mapped.codes[which], mapped.starts[which], mapped.ends[which])


def _with_prefix(mapped: Mapped) -> Mapped:
    place = mapped.starts[:1] if len(mapped.starts) else np.zeros(1, np.int64)
    return Mapped(
        np.concatenate((np.array([_MARK], np.uint32), mapped.codes)),
        np.concatenate((place, mapped.starts)),
        np.concatenate((place, mapped.ends)),
    )
