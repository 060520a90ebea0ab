"""What `bigbird info` says: of this installation, or of a model."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

import torch

from bigbird.attention import PatternSpec, backend_report, native_cpu
from bigbird.checkpoint import MODEL_CARD, find_model, load_model, packaged_models
from bigbird.recipes import RECIPES

_OPTIONAL = (
    ("dna", "pysam", "genomes through an index"),
    ("dna", "sklearn", "baselines of `bigbird windows`"),
    ("plot", "matplotlib", "pictures"),
    ("tensorboard", "tensorboard", "`bigbird train` with training.tensorboard"),
    ("hf", "transformers", "Hugging Face's BigBird in `bigbird bench`"),
)


def about_installation() -> Iterator[str]:
    """Versions, hardware, attention backends, optional parts, models and recipes."""
    yield f"bigbird {metadata.version('bigbird')}  torch {torch.__version__}  Python {platform.python_version()}"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield f"GPU: {gpu}   CPU threads: {torch.get_num_threads()}"
    yield ""
    yield "attention backends on this machine, in the order `auto` tries them:"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pattern = PatternSpec().build(num_blocks=16, num_heads=1).to(device)
    for name, reason in backend_report(torch.zeros(1, 1, 1024, 64, device=device), pattern):
        yield f"  {name:10} {reason or 'ready'}{_remark(name)}"
    yield ""
    yield "optional parts:"
    for extra, package, use in _OPTIONAL:
        state = "installed" if find_spec(package) else f"missing; pip install 'bigbird[{extra}]'"
        yield f"  {package:14} {use}: {state}"
    yield ""
    yield "models that come with bigbird: " + (", ".join(packaged_models()) or "none")
    yield "recipes for `bigbird train`:"
    for name, use in RECIPES.items():
        yield f"  {name:24} {use}"


def about_model(model: str) -> Iterator[str]:
    """What a model is, and its card."""
    loaded, folder = load_model(model), find_model(model)
    encoder, pattern = loaded.encoder, loaded.encoder.pattern
    num_parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    yield f"{folder}"
    labels = f", labels {', '.join(loaded.task.labels)}" if loaded.task.labels else ""
    yield f"task: {type(loaded.task).__name__}{labels}"
    yield (
        f"encoder: {num_parameters / 1e6:.1f} M parameters with the head, {encoder.num_layers} layers, width "
        f"{encoder.hidden_size}, {encoder.num_heads} heads, {encoder.positions} positions, up to "
        f"{encoder.max_length} tokens"
    )
    yield (
        f"pattern: graph {pattern.graph}, blocks of {pattern.block_size}, window {pattern.window_blocks}, global "
        f"{pattern.global_blocks}, random {pattern.random_blocks}"
    )
    bases = encoder.bases_per_token
    yield f"tokenizer: {f'{bases} bases per token' if bases else f'{loaded.tokenizer.vocab_size} tokens'}"
    card = folder / MODEL_CARD
    if card.is_file():
        yield ""
        yield card.read_text(encoding="utf-8")


def _remark(backend: str) -> str:
    if backend == "native" and native_cpu.instruction_set():
        return f"  (instructions: {native_cpu.instruction_set()})"
    return {
        "reference": "  (never chosen by auto: quadratic)",
        "triton": "  (has never run on a GPU: auto first compares it with gathered on small problems)",
    }.get(backend, "")
