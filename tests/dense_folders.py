"""Folders of dense models as transformers writes them, tiny and with random numbers in every tensor."""

import torch
import transformers

SMALL = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
LENGTHS = {"bert": {"max_position_embeddings": 64}, "roberta": {"max_position_embeddings": 66, "type_vocab_size": 1}}
CONFIGS = {"bert": transformers.BertConfig, "roberta": transformers.RobertaConfig}


def dense_folder(path, architecture="BertModel", **values):
    """The folder and the model in it, in evaluation mode."""
    kind = "bert" if architecture.startswith("Bert") else "roberta"
    config = CONFIGS[kind](**SMALL | LENGTHS[kind] | {"num_labels": 3} | values)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, architecture)(config)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(path)
    return path, model.eval()


SUMMARIZER = {
    "vocab_size": 120,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "scale_embedding": True,
    "activation_function": "relu",
    "activation_dropout": 0.1,
}


def summarizer_folder(path, architecture="PegasusForConditionalGeneration", **values):
    """A Pegasus or BigBirdPegasus: the folder and the model in it, in evaluation mode."""
    kind = transformers.BigBirdPegasusConfig if architecture.startswith("BigBird") else transformers.PegasusConfig
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, architecture)(kind(**SUMMARIZER | values))
        for parameter in model.parameters():
            if parameter.requires_grad:  # sinusoids are not learned
                parameter.add_(torch.randn_like(parameter) * 0.1)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    model.save_pretrained(path)
    return path, model.eval()


def token_ids(length, vocab_size=120):
    return torch.randint(5, vocab_size, (1, length), generator=torch.Generator().manual_seed(length))
