"""Other encoders of transformers run sparse by the name "bigbird"."""

import pytest
import torch

from bigbird.attention import PatternSpec
from bigbird.errors import ConfigError, InputError

transformers = pytest.importorskip("transformers")

from bigbird.interop.transformers import register  # noqa: E402
from bigbird.interop.transformers_attention import attention  # noqa: E402
from huggingface_models import bert, bigbird, pegasus, randomised, tokens  # noqa: E402

SMALL = {"block_size": 16}


def sparse(kind="BertModel", settings=None, **values):
    model = bert(kind, attention="bigbird", **values)
    model.config.bigbird_pattern = SMALL if settings is None else settings
    return model


def last(model, given):
    return model(**given).last_hidden_state


def same(a, b, within=1e-12):
    torch.testing.assert_close(a, b, rtol=0, atol=within)


OTHERS = {
    "RobertaModel": lambda: transformers.RobertaConfig(max_position_embeddings=600, pad_token_id=0, **sizes()),
    "ElectraModel": lambda: transformers.ElectraConfig(embedding_size=32, **sizes()),
    "EsmModel": lambda: transformers.EsmConfig(pad_token_id=0, mask_token_id=1, **sizes()),
    "XLMRobertaModel": lambda: transformers.XLMRobertaConfig(max_position_embeddings=600, pad_token_id=0, **sizes()),
}


def sizes():
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    no_dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    return dict(zip(names, (90, 32, 2, 4, 64), strict=True)) | no_dropout


@torch.no_grad()
@pytest.mark.parametrize("kind", OTHERS)
def test_a_short_document_gets_what_eager_gives_whatever_the_encoder(kind):
    model = randomised(getattr(transformers, kind), OTHERS[kind](), torch.float64)
    model.set_attn_implementation("eager")
    given = tokens(100, 40, 77)
    expected = last(model, given)
    model.set_attn_implementation("bigbird")  # 64 tokens a block: all see all
    if kind == "EsmModel":  # its layers have no numbers
        model.config.bigbird_pattern = {"random_blocks": 0}
    real = given["attention_mask"].bool()
    same(last(model, given)[real], expected[real])


def test_in_float32_eager_and_bigbird_agree_to_1e_5_with_their_gradients():
    outputs, gradients = [], []
    for name in ("eager", "bigbird"):
        model = bert(attention=name, dtype=torch.float32).train()
        out = last(model, tokens(200))
        out.pow(2).sum().backward()
        outputs.append(out.detach())
        gradients.append(model.encoder.layer[0].attention.self.query.weight.grad)
    same(*outputs, within=1e-5)
    same(*gradients, within=1e-5 * float(gradients[0].abs().max()))


@torch.no_grad()
def test_a_long_document_sees_what_the_pattern_says():
    """One layer against dense attention with the pattern as its mask."""
    settings = {**SMALL, "window_blocks": 1, "global_blocks": 1, "random_blocks": 2, "seed": 3}
    model = sparse(settings=settings)
    eager = bert(attention="eager")
    counts = [PatternSpec(**settings).build(num_blocks=20, num_heads=4, layer=layer).counts() for layer in range(2)]
    for layer, table in zip(eager.encoder.layer, counts, strict=True):
        hidden = -1e9 * (table == 0).double().repeat_interleave(16, 1).repeat_interleave(16, 2)
        layer.attention.self.register_forward_pre_hook(
            lambda _, args, kwargs, mask=hidden: (args, kwargs | {"attention_mask": mask[None]}),
            with_kwargs=True,
        )
    given = {"input_ids": tokens(320)["input_ids"]}
    assert not torch.equal(*counts)  # each layer draws for itself
    same(last(model, given), last(eager, given), within=1e-9)


@torch.no_grad()
def test_a_document_does_not_depend_on_its_padding_or_its_neighbours():
    model = sparse()
    together = last(model, tokens(301, 40, padded_to=420))
    for row, length in enumerate((301, 40)):
        same(together[row, :length], last(model, tokens(length))[0])


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 300), (1, 1, 1, 300)])
def test_a_mask_that_is_filled_anew_is_read_anew(shape):
    model, ids = sparse(), tokens(300)["input_ids"]
    mask = torch.ones(shape, dtype=torch.bool)
    model(ids, mask)
    mask[..., 200:] = False
    same(model(ids, mask).last_hidden_state[:, :200], model(ids[:, :200]).last_hidden_state)


@torch.no_grad()
@pytest.mark.skipif(not hasattr(transformers, "EuroBertModel"), reason="this transformers has no such model")
def test_heads_that_share_keys_get_what_eager_gives():
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    values = {name: sizes()[name] for name in names}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.EuroBertConfig(num_key_value_heads=2, **values, **special)
    model = randomised(transformers.EuroBertModel, config, torch.float64)
    model.set_attn_implementation("eager")
    given = tokens(100, 40)
    expected = last(model, given)
    model.set_attn_implementation("bigbird")
    real = given["attention_mask"].bool()
    same(last(model, given)[real], expected[real], within=1e-5)  # its softmax is in float32


@torch.no_grad()
def test_it_can_be_chosen_when_a_model_is_loaded_and_its_pattern_is_saved_with_it(tmp_path):
    model = sparse()
    model.save_pretrained(tmp_path)
    again = transformers.AutoModel.from_pretrained(tmp_path, attn_implementation="bigbird")
    assert again.config.bigbird_pattern == SMALL
    same(last(again, tokens(300)), last(model, tokens(300)))
    again.set_attn_implementation("eager")
    assert float((last(again, tokens(300)) - last(model, tokens(300))).abs().max()) > 1e-3


@torch.no_grad()
def test_registering_again_changes_nothing():
    before = last(sparse(), tokens(300))
    register()
    register()
    assert torch.equal(last(sparse(), tokens(300)), before)


def distilbert():
    config = transformers.DistilBertConfig(vocab_size=90, dim=32, n_layers=1, n_heads=4, hidden_dim=64)
    config._attn_implementation = "bigbird"
    return transformers.DistilBertModel(config).eval()


@torch.no_grad()
def test_an_encoder_that_does_not_number_its_layers_needs_a_pattern_without_chance():
    model = distilbert()
    with pytest.raises(ConfigError, match=r'config.bigbird_pattern = \{"random_blocks": 0\}'):
        model(**tokens(300))
    model.config.bigbird_pattern = {"random_blocks": 0}
    assert last(model, tokens(300)).shape == (1, 300, 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparse("BertLMHeadModel", is_decoder=True)(**tokens(40)), "would show a decoder the future"),
        (lambda: sparse(attention_dropout=0.1).train()(**tokens(40)), "has no dropout on attention weights"),
        (lambda: sparse()(**tokens(40), output_attentions=True), "never holds attention weights"),
        (
            lambda: sparse()(**tokens(40), cu_seq_lens_q=torch.tensor([0, 20, 40])),
            "cannot honour cu_seq_lens_q",
        ),
        (lambda: sparse(settings={"block": 16})(**tokens(40)), "there is no setting 'block'"),
        (lambda: sparse(settings={"block_size": [16]})(**tokens(40)), "block_size got [16]"),
        (
            lambda: sparse(settings=dict.fromkeys(("window_blocks", "global_blocks", "random_blocks"), 0))(
                **tokens(40)
            ),
            "no token would see any other",
        ),
        (lambda: sparse(settings=[16])(**tokens(40)), "must be a dict of PatternSpec's fields, got [16]"),
        (lambda: sparse()(torch.ones(1, 40).long(), torch.ones(1, 1, 40, 40)), "takes no mask of pairs"),
        (lambda: sparse()(torch.ones(1, 40).long(), torch.zeros(1, 1, 1, 40)), "takes no mask of pairs"),
        (lambda: pegasus(attn_implementation="bigbird")(**tokens(40)), "accelerate(model)"),
    ],
)
def test_what_cannot_be_right_is_refused(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value)


def test_dropout_on_attention_does_not_matter_where_nothing_is_trained():
    with torch.no_grad():
        same(last(sparse(attention_dropout=0.1), tokens(40)), last(sparse(), tokens(40)))


@pytest.mark.skipif(
    hasattr(transformers.BigBirdModel, "get_extended_attention_mask"),
    reason="there BigBird asks no interface for masks",
)
def test_a_bigbird_under_that_name_is_refused():
    with pytest.raises(ConfigError, match=r"accelerate\(model\)"):
        bigbird(attn_implementation="bigbird")(**tokens(40))


def test_what_changes_attention_is_refused_and_not_ignored():
    q = torch.randn(1, 4, 40, 8)
    with pytest.raises(ConfigError, match="cannot honour softcap"):
        attention(bert().encoder.layer[0].attention.self, q, q, q, None, softcap=30.0)
