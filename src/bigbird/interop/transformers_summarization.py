"""Summaries by sequence-to-sequence models, as a pipeline of transformers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from bigbird.errors import ConfigError, DataError
from bigbird.interop.transformers_library import part
from bigbird.interop.transformers_windows import TOKENIZING, accepted, longest_input

part()  # of a version that we know

from transformers.pipelines import Pipeline


class SummarizationPipeline(Pipeline):
    """Shortens documents with a sequence-to-sequence model, through `model.generate`.

        pipe("…")                               or a list or tuple of documents

    min_length, max_length    tokens of a summary; those of the model's generation config unless given
    truncation                True: a document longer than the model reads is cut, and a warning says by how much;
                              False: it is an error
    clean_up                  whether blanks before punctuation, which some tokenizers leave, are taken out
    batch_size                documents at once
    others                    go to `model.generate`: num_beams, no_repeat_ngram_size, num_return_sequences …
    Returns                   [{"summary_text"}], one per summary; for a list of documents one such dict each, or a
                              list each if num_return_sequences is above 1
    """

    _load_tokenizer = True
    _load_processor = False
    _load_image_processor = False
    _load_feature_extractor = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.model.config.is_encoder_decoder or not self.model.can_generate():
            raise ConfigError(
                f"summaries need a sequence-to-sequence model such as BigBirdPegasusForConditionalGeneration, got "
                f"{type(self.model).__name__}"
            )

    def __call__(self, inputs: str | Sequence[str], **options: Any) -> Any:
        """Summarize one document, or each of a list; options are those of the class."""
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        result = [] if inputs == [] else super().__call__(inputs, **options)
        are_single = isinstance(result, list) and isinstance(inputs, list) and all(len(one) == 1 for one in result)
        return [one[0] for one in result] if are_single else result

    def _sanitize_parameters(
        self, truncation: bool | None = None, clean_up: bool | None = None, **generation: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        shortest, longest = generation.get("min_length"), generation.get("max_length")
        if shortest is not None and longest is not None and shortest > longest:
            raise ConfigError(f"min_length must be at most max_length, got {shortest} and {longest}")
        if generation.get("return_dict_in_generate"):
            raise ConfigError("return_dict_in_generate is not served: a summary is text. Call model.generate for more.")
        return (
            {} if truncation is None else {"truncation": truncation},
            generation,
            {} if clean_up is None else {"clean_up": clean_up},
        )

    def preprocess(self, inputs: str, truncation: bool = True) -> dict[str, torch.Tensor]:
        """Tensors [1, length]."""
        if not isinstance(inputs, str) or not inputs.strip():
            raise DataError(f"a document must be a text with at least one letter, got {inputs!r}")
        with TOKENIZING:
            return self._encoded(inputs, truncation)

    def _encoded(self, inputs: str, truncation: bool) -> dict[str, torch.Tensor]:
        encoded = self.tokenizer(inputs, return_tensors="pt", verbose=False)
        length, longest = encoded["input_ids"].shape[1], longest_input(self.model, self.tokenizer)
        if longest is not None and length > longest:
            if not truncation:
                raise DataError(
                    f"a document has {length} tokens, the model reads {longest}. Shorten it, or set truncation=True "
                    f"to leave out its end."
                )
            encoded = self.tokenizer(inputs, return_tensors="pt", truncation=True, max_length=longest)
            left_out = length - encoded["input_ids"].shape[1]
            warnings.warn(
                f"a document of {length} tokens was cut to the {longest} that the model reads: {left_out} tokens at "
                f"its end are not in the summary",
                stacklevel=3,
            )
        return dict(encoded)

    def _forward(self, inputs: dict[str, torch.Tensor], **generation: Any) -> dict[str, torch.Tensor]:
        written = self.model.generate(**accepted(inputs, self.model), **generation)
        return {"written": written.unflatten(0, (len(inputs["input_ids"]), -1))}

    def postprocess(self, outputs: dict[str, torch.Tensor], clean_up: bool = False) -> list[dict[str, str]]:
        """The summaries of one document."""
        texts = self.tokenizer.batch_decode(
            outputs["written"][0], skip_special_tokens=True, clean_up_tokenization_spaces=clean_up
        )
        return [{"summary_text": text} for text in texts]
