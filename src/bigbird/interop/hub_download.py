"""A model of the Hugging Face Hub by its name: downloaded once, kept where the Hub's other programs keep it.

Only because someone named it as OWNER/NAME or OWNER/NAME@REVISION, and no more than its config, its safetensors files
and its tokenizer's: nothing that could be run. Without a network what was downloaded before is used.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from bigbird.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from bigbird.errors import CheckpointError, require

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
GENERATION_FILE = "generation_config.json"  # how a model that writes should write
_SETTINGS = (CONFIG_FILE, GENERATION_FILE, *TOKENIZER_FILES)
SAFE_FILES = (*_SETTINGS, WEIGHTS_FILE, f"{WEIGHTS_FILE}.index.json", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")

_NAME = re.compile(r"([A-Za-z0-9][\w.-]{0,95})/([A-Za-z0-9][\w.-]{0,95})(?:@((?!.*\.\.)\w[\w./-]{0,199}))?")


class HubName(NamedTuple):
    """A model of the Hub; `revision` is a branch, a tag or a commit."""

    model: str
    revision: str | None


def hub_name(text: str) -> HubName | None:
    """What `text` names on the Hub; None if it looks like a path. A folder OWNER here makes it one."""
    match = _NAME.fullmatch(text)
    if match is None or Path(match[1]).exists():
        return None
    return HubName(f"{match[1]}/{match[2]}", match[3])


def download(name: HubName, *, pickles: bool = False) -> Path:
    """The folder in the Hub's cache; `pickles` brings pytorch_model.bin too, and no safetensors file."""
    hub = require("huggingface_hub", extra="hf", purpose=f"downloading {name.model}")
    errors = require("huggingface_hub.errors", extra="hf", purpose=f"downloading {name.model}")
    wanted = [*_SETTINGS, *PICKLES] if pickles else list(SAFE_FILES)
    try:
        return Path(hub.snapshot_download(name.model, revision=name.revision, allow_patterns=wanted))
    except errors.GatedRepoError:
        why = "its owner lets only people in who have asked: accept its terms on huggingface.co, then run hf auth login"
    except errors.RevisionNotFoundError:
        why = f"it has no revision {name.revision}"
    except errors.RepositoryNotFoundError:
        why = "the Hub has no such model, or a private one: then run hf auth login"
    except errors.LocalEntryNotFoundError:
        why = "the Hub cannot be reached (or HF_HUB_OFFLINE is set), and the model was not downloaded before"
    except (OSError, ValueError, errors.HTTPError) as error:  # the last: a connection that breaks
        why = f"{type(error).__name__}: {repr(str(error))[1:200]}"
    raise CheckpointError(
        f"{name.model} is no folder here and cannot be downloaded: {why}. Where there is a network: hf download "
        f"{name.model} --local-dir FOLDER; then give that folder."
    )
