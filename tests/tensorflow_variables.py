"""Variables as google-research/bigbird names and shapes them, made of a model of ours.

Written apart from the reader, so that the two check each other.
"""

import numpy as np

from bigbird.interop.tensorflow_bundle import Variable


def original_variables(model, *, scope="bert/", transform="cls/predictions/transform"):
    """NumPy arrays by the original's names, all that the model has."""
    language_model = getattr(model, "language_model", model)
    encoder = model.encoder if hasattr(model, "encoder") else model
    config, found = encoder.config, {}
    tables = {"word": encoder.embeddings.tokens, "position": encoder.embeddings.positions}
    if config.num_token_types:
        tables["token_type"] = encoder.embeddings.token_types
    for name, table in tables.items():
        found[f"{scope}embeddings/{name}_embeddings"] = table.weight
    is_prenorm = config.norm == "pre"
    norm(found, f"{scope}encoder/LayerNorm", encoder.final_norm if is_prenorm else encoder.embeddings.norm)
    for index, layer in enumerate(encoder.layers):
        here = f"{scope}encoder/layer_{index}"
        qkv = layer.attention.qkv
        parts = ("query", "key", "value")
        for part, weight in zip(parts, qkv.weight.chunk(3), strict=True):
            found[f"{here}/attention/self/{part}/kernel"] = weight.T
        for part, bias in zip(parts, () if qkv.bias is None else qkv.bias.chunk(3), strict=qkv.bias is not None):
            found[f"{here}/attention/self/{part}/bias"] = bias
        dense(found, f"{here}/attention/output/dense", layer.attention.output)
        dense(found, f"{here}/intermediate/dense", layer.feed_forward.inner)
        dense(found, f"{here}/output/dense", layer.feed_forward.output)
        norm(found, f"{here}/attention/{'self' if is_prenorm else 'output'}/LayerNorm", layer.attention_norm)
        norm(found, f"{here}/{'intermediate' if is_prenorm else 'output'}/LayerNorm", layer.feed_forward_norm)
    if hasattr(language_model, "transform"):
        dense(found, transform, language_model.transform)
        norm(found, transform, language_model.norm)
        found["cls/predictions/output_bias"] = language_model.bias
    if hasattr(model, "pooler"):
        dense(found, f"{scope}pooler/dense", model.pooler)
        found["cls/seq_relationship/output_weights"] = model.classifier.weight
        found["cls/seq_relationship/output_bias"] = model.classifier.bias
    return {name: tensor.detach().numpy().copy() for name, tensor in found.items()}


def dense(found, name, module):
    found[f"{name}/kernel"] = module.weight.T
    if module.bias is not None:
        found[f"{name}/bias"] = module.bias


def norm(found, name, module):
    found[f"{name}/gamma"], found[f"{name}/beta"] = module.weight, module.bias


def with_slots(variables):
    """Beside the weights what the original's optimizers and savers write."""
    zero = np.zeros((), np.float32)
    slots = {
        f"{name}/{slot}": np.zeros_like(array)
        for name, array in variables.items()
        for slot in ("AdamWeightDecayOptimizer", "AdamWeightDecayOptimizer_1", "adam_m", "Adam", "Adam_1", "Adafactor")
    }
    return variables | slots | {"global_step": np.int64(7), "beta1_power": zero, "beta2_power": zero}


class Arrays:
    """Stands for the two files."""

    def __init__(self, arrays, *, data_bytes=None):
        self._arrays = arrays
        self.variables = {
            name: Variable(np.shape(array), np.asarray(array).dtype.name) for name, array in arrays.items()
        }
        self.data_bytes = (
            sum(np.asarray(array).nbytes for array in arrays.values()) if data_bytes is None else data_bytes
        )

    def read(self, name):
        return self._arrays[name]
