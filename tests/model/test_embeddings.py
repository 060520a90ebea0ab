import torch
from torch.nn import functional

from bigbird.attention import DocumentLayout
from bigbird.model.embeddings import BaseConvolution
from bigbird.tokenizers import KmerTokenizer
from helpers import dna

SIZE = 8


def convolution():
    torch.manual_seed(0)
    return BaseConvolution(bases_per_token=SIZE, hidden_size=12, layer_norm_eps=1e-12)


def token_ids(sequence):
    return torch.from_numpy(KmerTokenizer(SIZE).encode_batch([sequence])[0].ids)


def vectors(model, sequence):
    ids = token_ids(sequence)
    return model(ids, torch.arange(len(ids)))


@torch.no_grad()
def test_vectors_are_those_of_plain_convolutions_over_one_document():
    model = convolution()
    sequence = dna(9 * SIZE, seed=1)
    one_hot = torch.zeros(1, 8, len(sequence) + 14)
    one_hot[:, 0] = 1  # beyond the ends there is nothing
    for place, letter in enumerate(sequence):
        one_hot[0, :, place + 7] = torch.eye(8)["-ACGTN".index(letter)]
    responses = model.motifs(one_hot)[0].reshape(12, 9, SIZE)
    expected = functional.gelu(responses.amax(-1), approximate="tanh").T
    for distance, part in zip((1, 2, 4), model.neighbourhoods, strict=True):
        kernel = part.inner.weight.reshape(12, 3, 12).transpose(1, 2)
        inner = functional.conv1d(
            part.norm(expected).T[None], kernel, part.inner.bias, padding=distance, dilation=distance
        )[0].T
        expected = expected + part.output(functional.gelu(inner, approximate="tanh"))
    torch.testing.assert_close(vectors(model, sequence), expected)


@torch.no_grad()
def test_nothing_is_read_across_the_edge_of_a_document():
    model = convolution()
    documents = [token_ids(dna(length, seed=length)) for length in (70, 8, 128, 3)]
    layout = DocumentLayout(tuple(map(len, documents)), 4)
    together = layout.unpack(model(layout.pack(torch.cat(documents)), layout.positions()))
    alone = torch.cat([model(ids, torch.arange(len(ids))) for ids in documents])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)


def test_every_parameter_gets_a_gradient():
    model = convolution()
    vectors(model, dna(200, seed=3)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
