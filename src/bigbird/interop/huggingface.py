"""BigBird in Hugging Face's layout: config.json and model.safetensors, read and written without transformers.

    encoder = load_encoder("bigbird-roberta-base")
    model = load_masked_lm("bigbird-roberta-base", graph="transformers-eval")
    save(model, "mine", like="bigbird-roberta-base")

graph  "checkpoint": the random blocks the weights were trained with
       "transformers-train", "transformers-eval": those transformers 5.23 computes with in each mode, for parity

A model comes in evaluation mode, in the number type of its file. A head's folder gives its encoder too.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bigbird import machine
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_config import HubConfig, HubGraph, encoder_config, from_hub, to_hub
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_kinds import KIND, KINDS, Kind, kind_of, kinds_with
from bigbird.interop.huggingface_names import BASE, COUNTERS, POOLER, TIED, Pair, to_ours, to_theirs, with_base
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader

_NAMED = 3  # faults of a kind that an error names


def load_encoder(folder: str | Path, graph: HubGraph = "checkpoint") -> Encoder:
    """BigBirdModel, or the encoder of a model with a head; the pooler is left behind."""
    return cast(Encoder, _load(folder, graph, KIND["load_encoder"]))


def load_masked_lm(folder: str | Path, graph: HubGraph = "checkpoint") -> MaskedLanguageModel:
    """BigBirdForMaskedLM; also out of a folder of BigBirdForPreTraining."""
    return cast(MaskedLanguageModel, _load(folder, graph, KIND["load_masked_lm"]))


def load_question_answering(folder: str | Path, graph: HubGraph = "checkpoint") -> SpanReader:
    """BigBirdForQuestionAnswering."""
    return cast(SpanReader, _load(folder, graph, KIND["load_question_answering"]))


def load_sequence_classifier(folder: str | Path, graph: HubGraph = "checkpoint") -> FirstTokenClassifier:
    """BigBirdForSequenceClassification."""
    return cast(FirstTokenClassifier, _load(folder, graph, KIND["load_sequence_classifier"]))


def load_token_classifier(folder: str | Path, graph: HubGraph = "checkpoint") -> TokenClassifier:
    """BigBirdForTokenClassification."""
    return cast(TokenClassifier, _load(folder, graph, KIND["load_token_classifier"]))


def load_multiple_choice(folder: str | Path, graph: HubGraph = "checkpoint") -> ChoiceScorer:
    """BigBirdForMultipleChoice."""
    return cast(ChoiceScorer, _load(folder, graph, KIND["load_multiple_choice"]))


def load_pretraining(folder: str | Path, graph: HubGraph = "checkpoint") -> PretrainingModel:
    """BigBirdForPreTraining."""
    return cast(PretrainingModel, _load(folder, graph, KIND["load_pretraining"]))


def save(model: nn.Module, folder: str | Path, *, like: str | Path | None = None) -> None:
    """Write config.json and model.safetensors, as transformers reads them, into a new folder.

    like  a folder in that layout from which to take what our model has no place for: special tokens, names of labels,
          the pooler of an encoder that does not use it. So a model read from it and written comes out as it was.
    """
    kind, target = kind_of(model), Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists already; give a new folder")
    values, weights = _kept(like, kind, model)
    weights.update(to_theirs(_plain(model), kind.pairs(_config(model).num_layers)))
    dtype = _one_type(weights)
    values |= {"torch_dtype" if "torch_dtype" in values else "dtype": dtype, "architectures": [kind.architecture]}
    if kind.module is Encoder:
        weights = {name.removeprefix(BASE): tensor for name, tensor in weights.items()}
    _write(target, values, weights)


def _load(folder: str | Path, graph: HubGraph, kind: Kind) -> nn.Module:
    place = files.find_folder(folder)
    source = str(place / files.CONFIG_FILE)
    hub = from_hub(files.read_json(place / files.CONFIG_FILE), source=source)
    if kind.has_tied_output and not hub.tie_word_embeddings:
        raise CheckpointError(f"{source}: tie_word_embeddings is false; ours guesses tokens with the token vectors")
    config = encoder_config(hub, graph, source=source)
    stored = _canonical(files.stored_tensors(place), place)
    if config.num_layers > len(stored):
        raise CheckpointError(f"{place} has {len(stored)} tensors, too few for {config.num_layers} layers")
    model = _empty(kind, hub, config, source)
    pairs = list(kind.pairs(config.num_layers))
    _check_fit(place, stored, _expected(model, pairs), kind)
    model.load_state_dict(to_ours(_read(place, stored, pairs, kind), pairs), assign=True)
    return model.eval()


def _canonical(stored: Mapping[str, StoredTensor], place: Path) -> dict[str, StoredTensor]:
    """Under the names that a model with a head has; a tied tensor that is stored as its copy alone under its own."""
    named: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        if with_base(name) in named:
            raise CheckpointError(f"{place} has the tensor {name} twice, with and without {BASE!r} before its name")
        named[with_base(name)] = tensor
    for copy, original in TIED.items():
        if copy in named and original not in named:
            named[original] = named.pop(copy)
    return named


def _empty(kind: Kind, hub: HubConfig, config: EncoderConfig, source: str) -> nn.Module:
    """The model with the shapes of its weights alone."""
    try:
        with torch.device("meta"):
            return kind.build(hub, config)
    except (RuntimeError, TypeError, ValueError) as error:  # sizes that no tensor, shares that no dropout can have
        raise CheckpointError(f"{source} describes no possible model: {str(error).partition(chr(10))[0]}") from None


def _expected(model: nn.Module, pairs: list[Pair]) -> dict[str, tuple[int, ...]]:
    """Shapes of their tensors, by their names."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes.keys() == {pair.ours for pair in pairs}
    return {name: (shapes[ours][0] // len(theirs), *shapes[ours][1:]) for ours, theirs in pairs for name in theirs}


def _check_fit(
    place: Path, stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]], kind: Kind
) -> None:
    others = {theirs for other in KINDS for _, theirs in other.head} | POOLER | COUNTERS | TIED.keys()
    missing = sorted(expected.keys() - stored.keys())
    unknown = sorted(stored.keys() - expected.keys() - others)
    unlike = [
        f"{name} is {list(stored[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in stored and stored[name].shape != shape
    ]
    faults = [
        f"{len(names)} {what} ({_some(names)})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", unlike))
        if names
    ]
    if faults:
        raise CheckpointError(f"{place}: its tensors do not fit its config: {'; '.join(faults)}.{_hint(kind, stored)}")
    types = {name: stored[name].dtype for name in expected}
    if len(set(types.values())) > 1 or not set(types.values()) <= files.TYPES.keys():
        raise CheckpointError(
            f"{place}: its tensors are {', '.join(sorted(set(types.values())))}; all must be one of "
            f"{', '.join(files.TYPES)}"
        )


def _hint(kind: Kind, stored: Mapping[str, StoredTensor]) -> str:
    """What to call instead when the folder has another head."""
    found = kinds_with(set(stored))
    if not kind.head or kind in found:
        return ""
    other = found[0] if found else KIND["load_encoder"]
    return f" It looks like a {other.architecture}: use {other.loader}."


def _some(names: list[str]) -> str:
    named = ", ".join(repr(name[:200])[1:-1] for name in names[:_NAMED])  # no line ends, nothing a terminal obeys
    return named if len(names) <= _NAMED else f"{named} and {len(names) - _NAMED} more"


def _read(place: Path, stored: Mapping[str, StoredTensor], pairs: list[Pair], kind: Kind) -> dict[str, Tensor]:
    names = [name for pair in pairs for name in pair.theirs]
    copies = [name for name in TIED if name in stored and kind.has_tied_output]
    wanted = [stored[name] for name in names + copies]
    for copy in copies:
        if (stored[copy].dtype, stored[copy].shape) != (stored[TIED[copy]].dtype, stored[TIED[copy]].shape):
            raise _untied(place, copy)
    machine.check_memory(
        sum(tensor.num_bytes for tensor in wanted), f"reading {place}", cure="Take a machine with more memory."
    )
    weights = dict(zip(names + copies, files.read_tensors(wanted), strict=True))
    for copy in copies:
        if not torch.equal(weights[copy], weights[TIED[copy]]):
            raise _untied(place, copy)
    return weights


def _untied(place: Path, copy: str) -> CheckpointError:
    return CheckpointError(f"{place}: {copy} differs from {TIED[copy]}; ours has one tensor for both")


def _config(model: nn.Module) -> Any:
    return (model if isinstance(model, Encoder) else cast(Any, model).encoder).config


def _kept(like: str | Path | None, kind: Kind, model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The values of config.json, and of `like` the tensors that ours has no place for."""
    config = _config(model)
    # Where ours has no say: no dropout on attention, as ours has none.
    kept: dict[str, Any] = {"attention_probs_dropout_prob": 0.0}
    unused: dict[str, Tensor] = {}
    hub = HubConfig()
    if like is not None:
        place = files.find_folder(like)
        kept = files.read_json(place / files.CONFIG_FILE)
        hub = from_hub(kept, source=str(place / files.CONFIG_FILE))
        unused = _unused_pooler(place, config.hidden_size) if kind.keeps_unused_pooler else {}
    dtype = next(model.parameters()).dtype
    values = kept | to_hub(config, like=kept) | kind.settings(model, hub)
    return values, {name: tensor.to(dtype) for name, tensor in unused.items()}


def _unused_pooler(place: Path, hidden_size: int) -> dict[str, Tensor]:
    stored = {name: tensor for name, tensor in _canonical(files.stored_tensors(place), place).items() if name in POOLER}
    for name, tensor in stored.items():
        if tensor.shape not in ((hidden_size, hidden_size), (hidden_size,)) or tensor.dtype not in files.TYPES:
            raise CheckpointError(
                f"{place}: {name} is {tensor.dtype} {list(tensor.shape)}; `like` must be a model of hidden_size "
                f"{hidden_size}, as the one to be written"
            )
    return dict(zip(stored, files.read_tensors(stored.values()), strict=True))


def _plain(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}


def _one_type(weights: Mapping[str, Tensor]) -> str:
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()}
    if len(types) > 1:
        raise ConfigError(
            f"the model's weights are {', '.join(sorted(types))}; bring them into one type, model.float()"
        )
    return types.pop()


def _write(target: Path, values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Under a temporary name, then renamed."""
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    (temporary / files.CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    save_file(dict(weights), temporary / files.WEIGHTS_FILE, metadata={"format": "pt"})
    # safetensors lets nobody but the owner read its files; whoever may read the config may read the weights
    (temporary / files.WEIGHTS_FILE).chmod((temporary / files.CONFIG_FILE).stat().st_mode)
    temporary.replace(target)
