import dataclasses

import pytest
import torch

from bigbird.data.sources import FixedRecords
from bigbird.errors import ConfigError
from bigbird.tasks import MaskedLM
from bigbird.training.batches import Batches
from bigbird.training.block_options import check_compiler
from bigbird.training.settings import TrainingConfig
from bigbird.training.step import Learner
from helpers import loaded_model, motif_records

CONFIG = TrainingConfig(num_steps=2, batch_size=4, micro_batch_size=2, learning_rate=3e-3, seed=3)
# Two lengths: a compiled layer must not be one for a single length.
SOURCE = FixedRecords([record for length in (90, 120) for record in motif_records(4, length=length)])


def learnt(num_layers=2, **changes):
    """Losses and gradient norms of two steps with dropout, and the weights after them."""
    config = dataclasses.replace(CONFIG, **changes)
    loaded = loaded_model(MaskedLM(max_length=128), dropout=0.2, num_layers=num_layers)
    batches, learner = Batches(loaded, config, SOURCE), Learner(loaded, config)
    results = [learner.step(step, batches.of_step(step)) for step in range(2)]
    return results, loaded.model.state_dict()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layers_computed_again_give_the_same_bits(precision):
    plain, weights = learnt(precision=precision)
    again, weights_again = learnt(precision=precision, checkpoint_activations=True)
    assert again == plain
    assert weights.keys() == weights_again.keys()
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)


def test_layers_computed_again_keep_less_for_the_gradient():
    assert kept_for_the_gradient(checkpoint_activations=True) < 0.5 * kept_for_the_gradient()


def kept_for_the_gradient(**changes):
    config, sizes = dataclasses.replace(CONFIG, **changes), []
    loaded = loaded_model(MaskedLM(max_length=128), num_layers=4)
    batch = Batches(loaded, config, SOURCE).of_step(0)[0]
    Learner(loaded, config)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        loaded.task.loss(loaded.model.train(), batch)
    return sum(sizes)


@pytest.mark.filterwarnings("default")  # PyTorch's own compiler warns of PyTorch
def test_compiled_layers_give_the_same_losses_dropout_included():
    plain, weights = learnt(num_layers=1)
    compiled, compiled_weights = learnt(num_layers=1, compile=True)
    assert [r.loss for r in compiled] == pytest.approx([r.loss for r in plain], abs=1e-5)
    assert [r.gradient_norm for r in compiled] == pytest.approx([r.gradient_norm for r in plain], rel=1e-4)
    assert weights.keys() == compiled_weights.keys()


def test_compiling_without_a_compiler_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "clang++").touch(mode=0o755)  # which torch.compile does not look for on Linux
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler and there is no g\+\+ here; install"):
        learnt(compile=True)
    monkeypatch.setenv("CXX", "mycc")
    with pytest.raises(ConfigError, match=r"there is no mycc here; .* or set training.compile=false"):
        learnt(compile=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="training.compile needs Triton, which is not installed; install it"):
        check_compiler(torch.device("cuda"))
