"""Small models of transformers with random numbers in every tensor. Not for import without transformers."""

import copy

import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

BLOCK = 16
VOCABULARY = 90
SPARSE = 400  # tokens: 25 blocks, sparse under every graph
SHORT = 100  # tokens: theirs sees all of them


def bigbird(kind="BigBirdModel", *, dtype=torch.float64, dropout=0.0, **values):
    config = transformers.BigBirdConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        block_size=BLOCK,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        **values,
    )
    return randomised(getattr(transformers, kind), config, dtype)


def pegasus(kind="BigBirdPegasusModel", *, dtype=torch.float64, **values):
    config = transformers.BigBirdPegasusConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        block_size=BLOCK,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=1,
        decoder_start_token_id=2,
        **values,
    )
    return randomised(getattr(transformers, kind), config, dtype)


def bert(kind="BertModel", *, attention="eager", dtype=torch.float64, **values):
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=1024,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=values.pop("attention_dropout", 0.0),
        attn_implementation=attention,
        **values,
    )
    return randomised(getattr(transformers, kind), config, dtype)


def randomised(kind, config, dtype):
    """In evaluation mode."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = kind(config)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.to(dtype).eval()


def twin(model):
    return copy.deepcopy(model)


def tokens(*lengths, padded_to=None):
    """input_ids and attention_mask of documents, padded on the right."""
    width = padded_to or max(lengths)
    ids = torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(length)
        ids[row, :length] = torch.randint(3, VOCABULARY, (length,), generator=generator)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return {"input_ids": ids, "attention_mask": mask.long()}


class LargestTensor(TorchDispatchMode):
    """While it is on, `numel` becomes that of the largest tensor that any operation gives out."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else (out,):
            if isinstance(x, torch.Tensor):
                self.numel = max(self.numel, x.numel())
        return out
