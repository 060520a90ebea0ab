"""An accelerated model with padding="batch" computes what transformers computes, in its train and its eval mode.

Theirs switches to full attention for good after one short document, so every comparison takes a fresh model.
"""

import pytest
import torch

transformers = pytest.importorskip("transformers")

from bigbird.interop.transformers import accelerate  # noqa: E402
from huggingface_models import bigbird, pegasus, tokens, twin  # noqa: E402

GRAPHS = ["transformers-train", "transformers-eval"]
ERROR = {torch.float32: 1e-5, torch.float64: 1e-10}
LENGTHS = [(1,), (100,), (176,), (177,), (400, 250), (777, 401), (1024, 90), (1025,), (2048,), (3072,)]

EVERY_DTYPE = pytest.mark.parametrize("dtype", ERROR, ids=str)
EVERY_GRAPH = pytest.mark.parametrize("graph", GRAPHS)
MAKERS = pytest.mark.parametrize("make", [bigbird, pegasus])


def both(make, graph, dtype, *kind):
    theirs = make(*kind, dtype=dtype).train(graph == GRAPHS[0])
    return theirs, accelerate(twin(theirs), graph=graph, padding="batch")


def encoded(model, given):
    return (model.encoder if hasattr(model, "decoder") else model)(**given).last_hidden_state


@torch.no_grad()
@MAKERS
@EVERY_GRAPH
@EVERY_DTYPE
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_encoder_equals_theirs_at_every_place_padding_included(make, graph, dtype, lengths):
    theirs, ours = both(make, graph, dtype)
    given = tokens(*lengths)
    torch.testing.assert_close(encoded(ours, given), encoded(theirs, given), rtol=0, atol=ERROR[dtype])


@torch.no_grad()
@MAKERS
def test_the_checkpoint_graph_equals_their_training_at_the_published_lengths(make):
    for length in (1024, 3072, 4096):
        theirs = make().train()
        ours = accelerate(twin(theirs))
        torch.testing.assert_close(encoded(ours, tokens(length)), encoded(theirs, tokens(length)), rtol=0, atol=1e-10)


def gradients(model, given, labels):
    loss = model(**given, labels=labels).loss
    loss.backward()
    return loss.detach(), {name: x.grad for name, x in model.named_parameters() if x.grad is not None}


@EVERY_GRAPH
@EVERY_DTYPE
@pytest.mark.parametrize(
    ("make", "kind"), [(bigbird, "BigBirdForMaskedLM"), (pegasus, "BigBirdPegasusForConditionalGeneration")]
)
@pytest.mark.parametrize("lengths", [(1,), (410, 250), (1025,)], ids=str)
def test_loss_and_every_gradient_equal_theirs(make, kind, graph, dtype, lengths):
    theirs, ours = both(make, graph, dtype, kind)
    given = tokens(*lengths)
    labels = given["input_ids"].where(given["attention_mask"] == 1, -100)
    (expected, their_gradients), (found, our_gradients) = (gradients(m, given, labels) for m in (theirs, ours))
    torch.testing.assert_close(found, expected, rtol=ERROR[dtype], atol=0)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        allowed = ERROR[dtype] * max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(our_gradients[name], gradient, rtol=0, atol=allowed, msg=name)


@torch.no_grad()
@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generation_writes_the_same_tokens(search):
    theirs, ours = both(pegasus, "transformers-eval", torch.float64, "BigBirdPegasusForConditionalGeneration")
    settings = {"max_new_tokens": 12, "do_sample": False, **search}
    given = tokens(410, 250)
    found, expected = (model.generate(**given, **settings) for model in (ours, theirs))
    assert found.tolist() == expected.tolist()


@torch.no_grad()
@pytest.mark.parametrize("kind", ["BigBirdForQuestionAnswering", "BigBirdForSequenceClassification"])
def test_heads_equal_theirs(kind):
    theirs, ours = both(bigbird, "transformers-eval", torch.float64, kind)
    given = tokens(410, 250)
    given["input_ids"][:, 9] = theirs.config.sep_token_id
    for name, expected in theirs(**given).items():
        torch.testing.assert_close(ours(**given)[name], expected, rtol=0, atol=1e-9, msg=name)


@torch.no_grad()
def test_hidden_states_of_every_layer_equal_theirs():
    theirs, ours = both(bigbird, "transformers-eval", torch.float64)
    found, expected = (model(**tokens(400, 250), output_hidden_states=True).hidden_states for model in (ours, theirs))
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
