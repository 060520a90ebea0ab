"""Everything about one stretch of DNA: changes of its bases, attributions, attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bigbird.errors import ConfigError, MissingDependency
from bigbird.genomics.attention_plots import draw_pattern, draw_weights
from bigbird.genomics.attention_view import MAX_TOKENS, AttentionView, attention_view
from bigbird.genomics.attribution import Attribution, Method, attribution, check_method
from bigbird.genomics.explain_files import write_attention, write_attributions, write_mutations
from bigbird.genomics.explain_plots import BASES_PER_ROW, MAX_ROWS, draw_bases
from bigbird.genomics.explain_target import Question, Target, question_about
from bigbird.genomics.mutagenesis import Mutations, Watch, mutations
from bigbird.predictor import Predictor

MAX_REGION = 5_000  # bases; each is three windows on both strands


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """What is asked.

    label      None: the one with the highest score in the region
    at         where the score is read: "summit", "middle", or a position
    mutate     change every base to every other one
    deletions  and leave it out
    method     of attribution; None for none
    num_steps  of integrated gradients
    attention  the pattern of attention and its weights
    """

    label: str | None = None
    at: str = "summit"
    mutate: bool = True
    deletions: bool = False
    method: Method | None = "integrated-gradients"
    num_steps: int = 32
    attention: bool = True

    def __post_init__(self) -> None:
        check_method(self.method or "gradient", self.num_steps)


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What was found of one target; None for what was not asked."""

    target: Target
    question: Question
    mutations: Mutations | None
    attribution: Attribution | None
    attention: AttentionView | None
    notes: list[str] = field(default_factory=list)


def explain(
    predictor: Predictor, target: Target, config: ExplainConfig, *, watch: Watch = lambda changes, _: changes
) -> Explanation:
    """Answer what is asked of a target."""
    length = target.last - target.first
    if config.mutate and length > MAX_REGION:
        raise ConfigError(
            f"{target.name} has {length:,} bases, and changing each of them takes {3 * length:,} windows; at most "
            f"{MAX_REGION:,} bases are explained at once. Give a shorter region."
        )
    if not target.region.strip("N"):
        raise ConfigError(f"{target.name} holds nothing but N; there is nothing to explain")
    loaded = predictor.loaded
    question = question_about(predictor, target, label=config.label, at=config.at)
    view, notes = _attention(predictor, target) if config.attention else (None, [])
    return Explanation(
        target=target,
        question=question,
        mutations=mutations(predictor, target, question, deletions=config.deletions, watch=watch)
        if config.mutate
        else None,
        attribution=attribution(loaded, target, question, method=config.method, num_steps=config.num_steps)
        if config.method is not None
        else None,
        attention=view,
        notes=[*target.remarks, *notes],
    )


def _attention(predictor: Predictor, target: Target) -> tuple[AttentionView, list[str]]:
    num_tokens = len(predictor.loaded.tokenizer.encode_batch([target.sequence])[0].ids) + 2
    if num_tokens <= MAX_TOKENS:
        return attention_view(predictor.loaded, target), []
    note = f"attention weights are left out: they are computed for at most {MAX_TOKENS:,} tokens, here {num_tokens:,}"
    return attention_view(predictor.loaded, target, weights=False), [note]


def write_explanation(folder: Path, stem: str, found: Explanation) -> list[Path]:
    """Write tables, arrays and, where matplotlib is installed, pictures; the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    target, question = found.target, found.question
    if found.mutations is not None:
        write_mutations(folder, stem, target, question, found.mutations)
    if found.attribution is not None:
        write_attributions(folder, stem, target, found.attribution)
    if found.attention is not None:
        write_attention(folder, stem, target, found.attention, question.place)
    try:
        return _draw(folder, stem, found)
    except MissingDependency as error:
        found.notes.append(str(error))
        return []


def _draw(folder: Path, stem: str, found: Explanation) -> list[Path]:
    target, question, pictures = found.target, found.question, []
    if found.mutations is not None or found.attribution is not None:
        pictures.append(folder / f"{stem}bases.png")
        draw_bases(pictures[-1], target, question, found.mutations, found.attribution)
        if target.last - target.first > BASES_PER_ROW * MAX_ROWS:
            found.notes.append(f"the picture shows the first {BASES_PER_ROW * MAX_ROWS:,} bases; the tables all")
    if found.attention is not None:
        pictures.append(folder / f"{stem}attention_pattern.png")
        draw_pattern(pictures[-1], found.attention, target, question.place)
        if found.attention.weights is not None:
            pictures.append(folder / f"{stem}attention_weights.png")
            draw_weights(pictures[-1], found.attention, target, question.place)
    return pictures
