"""What a warm start makes: a new model, and its folder in the Hub's layout."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface, tokenizer_files
from bigbird.interop.hub_download import GENERATION_FILE
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_writing import write_files, write_json
from bigbird.interop.new_folder import new_folder

LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "BigBirdModel": huggingface.load_encoder,
    "BigBirdForMaskedLM": huggingface.load_masked_lm,
    "BigBirdForPreTraining": huggingface.load_pretraining,
    "BigBirdForTokenClassification": huggingface.load_token_classifier,
    "BigBirdForMultipleChoice": huggingface.load_multiple_choice,
    "BigBirdForSequenceClassification": huggingface.load_sequence_classifier,
    "BigBirdForQuestionAnswering": huggingface.load_question_answering,
    "BigBirdPegasusModel": huggingface.load_encoder,
    "BigBirdPegasusForConditionalGeneration": huggingface.load_encoder,
    "BigBirdPegasusForSequenceClassification": huggingface.load_encoder,
    "BigBirdPegasusForQuestionAnswering": huggingface.load_encoder,
}

_NOT_CARRIED = frozenset(("_name_or_path", "architectures", "transformers_version", "gradient_checkpointing"))


class Given(NamedTuple):
    """A source as it lies there: its folder, what its config.json says, and where its tensors are."""

    place: Path
    settings: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """A new model, ready to be written.

    place            the folder it was read from
    settings         its config.json
    weights          its tensors, under BigBird's names
    architecture     BigBird's class with the kept head
    tokenizer_class  transformers' class of its tokenizer, where tokenizer_config.json names none
    notes            what was kept, left out and made anew, a line each
    generation       generation_config.json of a model that writes
    """

    place: Path
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    architecture: str
    tokenizer_class: str | None
    notes: tuple[str, ...]
    generation: Mapping[str, Any] | None = None

    @property
    def max_length(self) -> int:
        """Tokens that a document may have."""
        return int(self.settings["max_position_embeddings"])

    @property
    def num_parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.numel() for tensor in self.weights.values())

    def save(self, folder: Path) -> tuple[str, ...]:
        """Write a new folder in the Hub's layout, once it has been read back; names of the tokenizer's files in it."""
        with new_folder(folder.absolute()) as temporary:
            self._written(temporary)
            return tokenizer_files.carry(
                self.place, temporary, max_length=self.max_length, tokenizer_class=self.tokenizer_class
            )

    def load(self) -> nn.Module:
        """The new model in evaluation mode; nothing stays on the disk."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            return self._written(Path(folder))

    def _written(self, folder: Path) -> nn.Module:
        """Write settings and weights, and read them as every folder of strangers is read.

        What is wrong then was wrong in the source.
        """
        write_files(folder, self.settings, self.weights)
        if self.generation is not None:
            write_json(folder / GENERATION_FILE, self.generation)
        try:
            return LOADERS[self.architecture](folder)
        except (CheckpointError, ConfigError) as error:
            told = str(error).replace(str(folder), str(self.place))
            raise CheckpointError(f"{told} (Tensors are named as BigBird names them.)") from None


def new_settings(settings: Mapping[str, Any], dropped: Collection[str]) -> dict[str, Any]:
    """Of the source's settings those that hold for the new model too."""
    carried = {name: value for name, value in settings.items() if name not in _NOT_CARRIED and name not in dropped}
    return {"tie_word_embeddings": True} | carried


def with_dtype(settings: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The settings with the number type of the weights, in the older spelling where they have that."""
    return {**settings, "torch_dtype" if "torch_dtype" in settings else "dtype": str(dtype).removeprefix("torch.")}
