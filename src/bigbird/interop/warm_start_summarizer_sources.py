"""What a summarizer's warm start may begin from: how each model type's settings and tensors become BigBirdPegasus'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Summarizer:
    """A model type with an encoder and a decoder that a warm start may begin from.

    defaults        settings that its config.json may leave out and that BigBirdPegasus' leaves out for another value
    settled         settings of which its function is that of one value alone; BigBirdPegasus has no name for them
    without_effect  settings that change nothing, beside those of BigBirdPegasus
    settings        what BigBirdPegasus' config.json says to compute the same
    renamed         patterns of names of tensors, as a model with a head has them, and BigBirdPegasus' names
    has_sinusoids   whether position tables may be missing, and are then sinusoids
    is_sparse       whether it is BigBird already
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    settled: Mapping[str, object] = field(default_factory=dict)
    without_effect: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    has_sinusoids: bool = False
    is_sparse: bool = False

    def name(self, theirs: str) -> str:
        """BigBirdPegasus' name of a tensor."""
        for pattern, ours in self.renamed.items():
            theirs = re.sub(pattern, ours, theirs, flags=re.ASCII)
        return theirs


_LAYER = r"^(model\.encoder\.layers\.\d+\.self_attn\.)"

# By model_type.
SUMMARIZERS: dict[str, Summarizer] = {
    "pegasus": Summarizer(
        defaults={
            "vocab_size": 50265,
            "max_position_embeddings": 1024,
            "encoder_layers": 12,
            "decoder_layers": 12,
            "activation_function": "gelu",
            "scale_embedding": False,
            "decoder_start_token_id": 0,
            "bos_token_id": None,
            "forced_eos_token_id": 1,
        },
        # Of BART's code, in which the first Pegasus was computed.
        settled={
            "add_final_layer_norm": True,
            "normalize_before": True,
            "normalize_embedding": False,
            "static_position_embeddings": True,
        },
        without_effect=frozenset(
            ("add_bias_logits", "classif_dropout", "extra_pos_embeddings", "force_bos_token_to_be_generated")
        ),
        settings={"use_bias": True},
        renamed={
            rf"{_LAYER}q_proj\.": r"\1self.query.",
            rf"{_LAYER}k_proj\.": r"\1self.key.",
            rf"{_LAYER}v_proj\.": r"\1self.value.",
            rf"{_LAYER}out_proj\.": r"\1output.",
            r"^model\.(encoder|decoder)\.layer_norm\.": r"model.\1.layernorm_embedding.",
        },
        has_sinusoids=True,
    ),
    "bigbird_pegasus": Summarizer(is_sparse=True),
}
