"""An encoder that reads a document and a decoder that writes another."""

from __future__ import annotations

from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.model.decoder import Decoder
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.decoding import CachedDecoding
from bigbird.model.encoder import Encoder, EncoderConfig


class Seq2Seq(nn.Module):
    """Reads packed documents, writes packed targets.

    model(token_ids, target_ids, layout=…, target_layout=…)      logits of every target's next tokens, at once
    decoding = model.begin(model.encode(token_ids, layout), layout)
    decoding.step(first_tokens), decoding.step(second_tokens) …  the same logits, token by token
    """

    def __init__(self, encoder: EncoderConfig, decoder: DecoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(encoder)
        self.decoder = Decoder(self.encoder, decoder)

    def forward(
        self,
        token_ids: Tensor,
        target_ids: Tensor,
        *,
        layout: DocumentLayout,
        target_layout: DocumentLayout,
        token_types: Tensor | None = None,
    ) -> Tensor:
        """token_ids: int64 [total], target_ids: int64 [target total] -> logits [target total, vocab].

        Document i is the source of target i. Row j holds the logits of the token behind target_ids[j]. For a loss at
        some places alone, `decoder` gives the vectors and `decoder.logits` what those places guess.
        """
        encoded = self.encode(token_ids, layout, token_types=token_types)
        hidden: Tensor = self.decoder(target_ids, encoded, layout=layout, target_layout=target_layout)
        return self.decoder.logits(hidden)

    def encode(self, token_ids: Tensor, layout: DocumentLayout, *, token_types: Tensor | None = None) -> Tensor:
        """Packed int64 [total], and as many types -> [total, hidden]."""
        encoded: Tensor = self.encoder(token_ids, layout=layout, token_types=token_types)
        return encoded

    def begin(self, encoded: Tensor, layout: DocumentLayout) -> CachedDecoding:
        """Start writing: one row for each document of `encoded`, [total, hidden]. In evaluation mode."""
        return CachedDecoding(self.decoder, encoded, layout)
