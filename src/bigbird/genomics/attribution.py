"""How much each base speaks for a score, by gradients: gradient times input, or integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bigbird.attention import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.errors import ConfigError
from bigbird.genomics.explain_target import Question, Target
from bigbird.genomics.log_odds import Reader
from bigbird.model.embeddings import NUM_LETTERS, BaseConvolution
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.tasks import Example
from bigbird.tasks.base import Batch

Method = Literal["integrated-gradients", "gradient"]
_BASE_LETTERS = slice(1, 5)  # A, C, G and T among the digits of a token's id


class Attribution(NamedTuple):
    """What each base contributes.

    values    float32 [bases of the window]; 0 for N
    score     log odds of the sequence as it is
    baseline  log odds of the sequence in which every place holds the window's average
    exact     each base has its own value; otherwise that of its token, in equal parts

    Integrated gradients add up to score - baseline; how nearly, tells whether the steps were enough.
    """

    values: NDArray[np.float32]
    score: float
    baseline: float
    exact: bool

    @property
    def missing(self) -> float:
        """What the values lack to the difference of the scores."""
        return self.score - self.baseline - float(self.values.sum(dtype=np.float64))


def check_method(method: str, num_steps: int) -> None:
    """Raise unless there is such a method, and a step at least."""
    if method not in get_args(Method) or num_steps < 1:
        raise ConfigError(
            f"the method must be one of {', '.join(get_args(Method))} with at least 1 step, got {method!r} with "
            f"{num_steps}"
        )


def attribution(
    loaded: LoadedModel,
    target: Target,
    question: Question,
    *,
    method: Method = "integrated-gradients",
    num_steps: int = 32,
) -> Attribution:
    """Contributions to the log odds of a label at a place, through what the encoder reads of each token.

    "gradient" is (input - average) . gradient at the sequence itself; "integrated-gradients" (Sundararajan et al. 2017)
    takes the gradient's mean at `num_steps` places on the straight way from the average. The average is the window's
    own: of its bases' shares where a convolution reads bases (then values are exact per base), else of its tokens'
    vectors. [CLS], [SEP] and N stay as they are.
    """
    check_method(method, num_steps)
    reader, encoder = Reader(loaded), encoder_of(loaded.model)
    batch, examples, places = reader.prepared([target.sequence], [question.place])
    inputs, average = _inputs(encoder, batch, examples, target.sequence)

    def score(x: Tensor) -> Tensor:
        with _reading(encoder, x):
            return reader.log_odds(batch, examples, places)[0, question.column]

    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.no_grad():
            ends = float(score(inputs)), float(score(average))
        steps = (torch.arange(num_steps) + 0.5) / num_steps if method == "integrated-gradients" else torch.ones(1)
        gradient = torch.stack([_gradient(score, average + step * (inputs - average)) for step in steps]).mean(0)
    finally:
        loaded.model.train(was_training)
    products = ((inputs - average) * gradient).sum(-1).cpu().double().numpy()
    values = _on_bases(products, batch, examples, len(target.sequence))
    return Attribution(values.astype(np.float32), *ends, exact=products.ndim == 2)


def _gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(leaf), leaf)
    return gradient


def _inputs(encoder: Encoder, batch: Batch, examples: Sequence[Example], sequence: str) -> tuple[Tensor, Tensor]:
    """What the encoder reads of each token, and the same with the average in place of known bases.

    [total, bases_per_token, NUM_LETTERS] shares of letters where a convolution reads them, else [total, hidden].
    """
    tokens = encoder.embeddings.tokens
    with torch.no_grad():
        if isinstance(tokens, BaseConvolution):
            dtype = tokens.motifs.weight.dtype
            shares = F.one_hot(tokens.letters(batch.token_ids), NUM_LETTERS).to(dtype)
            is_base = shares[..., _BASE_LETTERS].sum(-1) > 0
            mean = shares[is_base].mean(0) if bool(is_base.any()) else shares.new_zeros(NUM_LETTERS)
            return shares, torch.where(is_base[..., None], mean, shares)
        vectors: Tensor = tokens(batch.token_ids)
        known = [
            [end > start and sequence.count("N", start, end) < end - start for start, end in _spans(example)]
            for example in examples
        ]
        assert isinstance(batch.layout, DocumentLayout)
        is_known = batch.layout.pack(torch.tensor([flag for flags in known for flag in flags])).to(vectors.device)
        mean = vectors[is_known].mean(0) if bool(is_known.any()) else vectors.new_zeros(vectors.shape[1])
        return vectors, torch.where(is_known[:, None], mean, vectors)


@contextmanager
def _reading(encoder: Encoder, x: Tensor) -> Iterator[None]:
    """Let the encoder read `x` in place of its tokens."""

    def replaced(tokens: torch.nn.Module, arguments: tuple[Tensor, ...], _: Tensor) -> Tensor:
        return tokens.of_shares(x, arguments[1]) if isinstance(tokens, BaseConvolution) else x

    handle = encoder.embeddings.tokens.register_forward_hook(replaced)
    try:
        yield
    finally:
        handle.remove()


def _on_bases(
    products: NDArray[np.float64], batch: Batch, examples: Sequence[Example], length: int
) -> NDArray[np.float64]:
    """Values of tokens [total], or of a token's letters [total, letters], added up on the bases they stand for."""
    assert isinstance(batch.layout, DocumentLayout)
    values = np.zeros(length)
    for place, example in zip(batch.layout.starts, examples, strict=True):
        for number, (start, end) in enumerate(_spans(example), start=place):
            if end > start:
                row = products[number]
                some = row[: end - start] if products.ndim == 2 else np.full(end - start, row / (end - start))
                values[start:end] += some[::-1] if example.is_reversed else some
    return values


def _spans(example: Example) -> Iterator[tuple[int, int]]:
    return zip(example.starts.tolist(), example.ends.tolist(), strict=True)
