"""Hugging Face transformers with BigBird's attention. Importing this registers the attention "bigbird" there.

    accelerate(model)            their BigBird or BigBird-Pegasus with the right graph, linear memory and our kernels
    restore(model)               takes that back
    register()                   what importing does: any encoder runs sparse with attn_implementation="bigbird"

Needs the extra `hf`. (docs/huggingface.md)
"""

from __future__ import annotations

from bigbird.interop.transformers_accelerate import accelerate, restore
from bigbird.interop.transformers_attention import register

__all__ = ["accelerate", "register", "restore"]

register()
