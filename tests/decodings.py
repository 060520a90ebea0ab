"""Decodings to write with: a table that makes up logits, and a model of transformers without a cache."""

import torch

from bigbird.randomness import uniform

START, END = 2, 1


class TableDecoding:
    """Logits drawn from (the document's name, the text so far, the token): a row depends on its own text alone.

    `bias` is added to the end token's, `scale` says how far the logits lie apart. `num_rows` are those of each step.
    """

    def __init__(self, names, *, vocab_size=7, bias=0.0, scale=6.0):
        self.names, self.vocab_size, self.bias, self.scale = list(names), vocab_size, bias, scale
        self.documents = torch.arange(len(self.names))
        self.texts = [()] * len(self.names)
        self.num_rows = []

    def logits(self, document, text):
        key = (self.names[document], len(text), *text, range(self.vocab_size))
        row = torch.tensor(uniform(*key) * self.scale, dtype=torch.float32)
        row[END] += self.bias
        return row

    def step(self, token_ids):
        assert token_ids.shape == self.documents.shape
        self.num_rows.append(len(token_ids))
        self.texts = [(*text, token) for text, token in zip(self.texts, token_ids.tolist(), strict=True)]
        documents = self.documents.tolist()
        return torch.stack([self.logits(*row) for row in zip(documents, self.texts, strict=True)])

    def select(self, rows):
        self.documents = self.documents[rows]
        self.texts = [self.texts[row] for row in rows.tolist()]


class TransformersDecoding:
    """A sequence-to-sequence model of transformers; every step computes the whole text anew."""

    def __init__(self, model, token_ids):
        self.model, self.encoded = model, model.get_encoder()(token_ids).last_hidden_state
        self.documents = torch.arange(len(token_ids))
        self.texts = torch.empty(len(token_ids), 0, dtype=torch.int64)

    def step(self, token_ids):
        self.texts = torch.cat((self.texts, token_ids[:, None]), dim=1)
        encoded = (self.encoded[self.documents],)
        return self.model(encoder_outputs=encoded, decoder_input_ids=self.texts, use_cache=False).logits[:, -1]

    def select(self, rows):
        self.documents, self.texts = self.documents[rows], self.texts[rows]
