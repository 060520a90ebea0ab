"""Folders in Hugging Face's layout, written with ours; small enough to make anew for every test."""

import json

import torch
from safetensors.torch import load_file, save_file

from bigbird.attention import PatternSpec
from bigbird.interop.huggingface import save
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
