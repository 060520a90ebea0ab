"""Our models as ONNX files, for any batch and any length, with the answers they give here.

    export_onnx(model, Path("model.onnx"))
    export_folder("promoter", Path("promoter.onnx"))

Inputs      token_ids int64 [batch, length]; key_mask bool [batch, length], True = real, padding anywhere;
            token_types int64 [batch, length] where the model has types and they are not left out
Outputs     float32; Encoder: encoded [batch, length, hidden], 0 where masked; MaskedLanguageModel and TokenClassifier:
            logits [batch, length, any], 0 where masked; SpanReader: logits [batch, length, 2], -inf where masked or
            question; SequenceClassifier and FirstTokenClassifier: logits [batch, labels]; ChoiceScorer: scores [batch];
            PretrainingModel: tokens [batch, length, vocab] and order [batch, 2]

Each document has the pattern of its own length, so that neighbours and padding change nothing. A document of more than
`max_length` tokens is an error of the runtime's. One without a real token gets zeros from an encoder; what a classifier
says of it means nothing. The runtime needs neither bigbird nor PyTorch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from bigbird import config as configs
from bigbird.checkpoint import CONFIG_FILE, find_model, load_model
from bigbird.errors import CheckpointError, ConfigError, require
from bigbird.interop import huggingface_files as files
from bigbird.interop.export_check import check_answers
from bigbird.interop.export_module import PaddedModel
from bigbird.interop.export_program import export_program, plain_copy, quiet, takes_token_types
from bigbird.interop.huggingface_config import HubGraph, family_of
from bigbird.interop.huggingface_reading import load
from bigbird.model.encoder import encoder_of

__all__ = ["OPSET", "export_folder", "export_onnx", "export_program"]

OPSET = 20  # the first with Gelu; onnxruntime 1.17 and later run it

_LARGEST_FILE = 2**31 - 2**24  # a protocol buffer ends at 2 GiB; the graph itself takes some of it
_PURPOSE = "exporting to ONNX"


def export_onnx(
    model: nn.Module,
    path: Path,
    *,
    max_length: int | None = None,
    token_types: bool | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Write the model as an ONNX file, after onnxruntime has given the same answers as the model here.

    model        an Encoder or a model with a head, on any device and of any number type; the file holds float32
    path         ends in .onnx and does not exist yet; from 2 GiB on the weights lie beside it in PATH.data
    max_length   tokens a document may have, at most (and otherwise) the encoder's own
    token_types  whether they are an input; None: where the model has types, but for SpanReader. Without them a
                 SpanReader takes 0 for the question and 1 behind it, any other model 0.
    labels       names of the outputs, kept in the file's metadata, with bigbird's version and the encoder's config

    ConfigError: a model, path or setting that does not serve.  MissingDependency: pip install 'bigbird[export]'.
    WrongAnswer: onnxruntime and the model disagree; nothing is written then.
    """
    path = Path(path)
    _check_free(path)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, extra="export", purpose=_PURPOSE)
    plain = plain_copy(model)
    program = export_program(plain, max_length=max_length, token_types=token_types)
    onnx_program = _translated(program, model, takes_token_types(model, token_types))
    onnx_program.model.metadata_props.update(_metadata(model, max_length, labels))
    folder = path.with_name(f".{path.name}.part")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with quiet():
            onnx_program.save(folder / path.name, external_data=_num_bytes(model) > _LARGEST_FILE)
        check_answers(plain, folder / path.name, max_length=max_length or encoder_of(model).config.max_length)
        for written in sorted(folder.iterdir(), reverse=True):  # the weights before the graph that names them
            written.replace(path.with_name(written.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def export_folder(
    source: str | Path,
    path: Path,
    *,
    graph: HubGraph = "checkpoint",
    max_length: int | None = None,
    token_types: bool | None = None,
) -> None:
    """Write the model of a folder as an ONNX file; the rest is as in `export_onnx`.

    source  a model folder of ours, the name of a packaged model, or a folder in the Hub's layout
    graph   which random blocks a folder of the Hub computes with; see `bigbird.interop.huggingface`
    """
    _check_free(Path(path))
    folder = find_model(source)
    values = files.read_json(folder / CONFIG_FILE)
    if "model_type" in values:
        model, labels = _from_hub(folder, values, graph)
    else:
        loaded = load_model(folder)
        model, labels = loaded.model, loaded.task.labels
    export_onnx(model, path, max_length=max_length, token_types=token_types, labels=labels)


def _from_hub(folder: Path, values: dict[str, Any], graph: HubGraph) -> tuple[nn.Module, tuple[str, ...]]:
    source, named = str(folder / CONFIG_FILE), values.get("architectures")
    whole = [kind for kind in family_of(values, source=source).kinds if not kind.is_part]
    kinds = [kind for kind in whole if named == [kind.architecture]]
    if not kinds:
        allowed = f"one of {', '.join(kind.architecture for kind in whole)} can be exported. " if whole else ""
        raise CheckpointError(
            f"{source}: architectures is {repr(named)[:200]}; {allowed}Load the part you want with "
            f"bigbird.interop.huggingface and call export_onnx."
        )
    model = load(folder, graph, kinds[0].module)
    names = values.get("id2label") if hasattr(model, "classifier") else None
    return model, tuple(map(str, names.values())) if isinstance(names, dict) else ()


def _check_free(path: Path) -> None:
    if path.suffix != ".onnx":
        raise ConfigError(f"an ONNX file's name ends in .onnx, got {path}")
    for taken in (path, _weights_beside(path)):
        if taken.exists():
            raise ConfigError(f"{taken} exists already. Remove it, or choose another name.")


def _weights_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.data")


def _translated(program: ExportedProgram, model: nn.Module, takes_types: bool) -> Any:
    names = ["token_ids", "key_mask", *(["token_types"] if takes_types else [])]
    with quiet():
        import torch.onnx  # noqa: PLC0415 - takes a second

        return torch.onnx.export(
            program,
            (),
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=names,
            output_names=list(PaddedModel.names_of_outputs(model)),
            dynamic_shapes={name: {0: "batch", 1: "length"} for name in names},
        )


def _metadata(model: nn.Module, max_length: int | None, labels: Sequence[str]) -> dict[str, str]:
    config = encoder_of(model).config
    return {
        "bigbird_version": metadata.version("bigbird"),
        "bigbird_model": type(model).__name__,
        "bigbird_encoder": json.dumps(configs.to_json(config)),
        "bigbird_max_length": str(max_length or config.max_length),
        "bigbird_labels": json.dumps(list(labels)),
    }


def _num_bytes(model: nn.Module) -> int:
    return 4 * sum(parameter.numel() for parameter in model.parameters())
