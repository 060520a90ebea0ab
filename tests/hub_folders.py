"""Folders in Hugging Face's layout, written with ours; small enough to make anew for every test."""

import json
from dataclasses import replace

import torch
from safetensors.torch import load_file, save_file

from bigbird.attention import PatternSpec
from bigbird.interop.huggingface import save
from bigbird.interop.huggingface_names import PEGASUS_NAMES, to_theirs
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader

CONFIG = EncoderConfig(
    vocab_size=90,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    inner_size=32,
    max_length=512,
    num_token_types=2,
    pattern=PatternSpec(block_size=16, graph="checkpoint"),
)
MODELS = {
    "load_encoder": Encoder,
    "load_masked_lm": MaskedLanguageModel,
    "load_question_answering": lambda config: SpanReader(config, separator_id=17),
    "load_sequence_classifier": lambda config: FirstTokenClassifier(config, num_labels=3, dropout=0.25),
    "load_token_classifier": lambda config: TokenClassifier(config, num_labels=5),
    "load_multiple_choice": ChoiceScorer,
    "load_pretraining": PretrainingModel,
}


def random_model(loader, config=CONFIG):
    """A model of ours with random numbers in every tensor."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[loader](config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def hub_folder(path, loader="load_masked_lm", config=CONFIG):
    save(random_model(loader, config), path)
    return path


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shard(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{index % 2 + 1:05}-of-00002.safetensors" for index, name in enumerate(weights)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in places if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


PEGASUS_CONFIG = replace(
    CONFIG, norm="pre", layer_norm_eps=1e-5, num_token_types=0, scale_embeddings=True, embedding_norm=False,
    attention_bias=False,
)  # fmt: skip
PEGASUS_VALUES = {
    "model_type": "bigbird_pegasus",
    "architectures": ["BigBirdPegasusForConditionalGeneration"],
    "dtype": "float32",
    "vocab_size": 90,
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "max_position_embeddings": 512,
    "block_size": 16,
    "num_beams": 5,
}


def pegasus_folder(path, config=PEGASUS_CONFIG, base="model."):
    """A summarizer whose encoder is `random_model("load_encoder", config)`; without `base`, one without its head."""
    path.mkdir()
    values = PEGASUS_VALUES | {"use_bias": config.attention_bias, "scale_embedding": config.scale_embeddings}
    (path / "config.json").write_text(json.dumps(values))
    pairs = PEGASUS_NAMES.encoder_pairs(config.num_layers, attention_bias=config.attention_bias)
    weights = to_theirs(random_model("load_encoder", config).state_dict(), pairs)
    weights |= {name: torch.randn(shape) for name, shape in _DECODER.items()}
    if not base:
        weights = {name.removeprefix("model."): weights[name] for name in weights if name != "final_logits_bias"}
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    return path


_DECODER = {
    "final_logits_bias": (1, 90),
    "model.decoder.embed_positions.weight": (512, 16),
    "model.decoder.layernorm_embedding.bias": (16,),
    "model.decoder.layers.0.encoder_attn.q_proj.weight": (16, 16),
    "model.decoder.layers.0.fc1.bias": (4096,),
}
