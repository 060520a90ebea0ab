"""Whether an exported file gives the answers of the model it was made from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.errors import WrongAnswer, require
from bigbird.model.encoder import Encoder, encoder_of

_TOLERANCE = 1e-4  # of the largest number among the answers, or of 1


def check_answers(model: nn.Module, path: Path, *, max_length: int) -> None:
    """Read a long and a short document with onnxruntime and with the model; WrongAnswer where they disagree."""
    runtime = require("onnxruntime", extra="export", purpose="checking an ONNX file")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    config = encoder_of(model).config
    length = min(max_length, (config.pattern.num_full_blocks + 3) * config.pattern.block_size - 1)
    draw = torch.Generator().manual_seed(0)
    token_ids = torch.randint(0, config.vocab_size, (2, length), generator=draw)
    key_mask = torch.arange(length) < torch.tensor([[length], [-(-length // 3)]])
    types = torch.randint(0, max(config.num_token_types, 1), (2, length), generator=draw)
    given = {"token_ids": token_ids, "key_mask": key_mask, "token_types": types}
    names = {x.name for x in session.get_inputs()}
    found = session.run(None, {name: x.numpy() for name, x in given.items() if name in names})
    with torch.no_grad():
        expected = answers(model, token_ids, key_mask, types if "token_types" in names else None)
    for theirs, ours in zip(map(torch.from_numpy, found), expected, strict=True):
        _compare(theirs[key_mask] if theirs.ndim == 3 else theirs, ours)


def answers(model: nn.Module, token_ids: Tensor, key_mask: Tensor, token_types: Tensor | None) -> tuple[Tensor, ...]:
    """Every output of a model in evaluation mode for a padded batch: [real tokens, any] or [batch, any]."""
    if isinstance(model, Encoder):
        return (model(token_ids, key_mask, token_types=token_types)[key_mask],)
    layout = DocumentLayout.from_mask(key_mask, block_size=encoder_of(model).config.pattern.block_size)
    packed = None if token_types is None else layout.pack(token_types[key_mask])
    given = model(layout.pack(token_ids[key_mask]), layout, token_types=packed)
    outputs = given if isinstance(given, tuple) else (given,)
    return tuple(layout.unpack(x) if len(x) == layout.total_length else x for x in outputs)


def _compare(theirs: Tensor, ours: Tensor) -> None:
    finite = ours.isfinite()
    size = max(1.0, float(ours[finite].abs().max())) if bool(finite.any()) else 1.0
    agrees = torch.allclose(theirs, ours, rtol=0, atol=_TOLERANCE * size, equal_nan=False)
    if theirs.shape != ours.shape or not agrees:
        difference = float((theirs - ours)[finite].abs().max()) if theirs.shape == ours.shape else "their shape"
        raise WrongAnswer(
            f"onnxruntime and the model disagree by {difference}, where {_TOLERANCE * size:.0e} is allowed; the "
            f"file is not kept. Please report it with the versions that `bigbird info` prints."
        )
