"""Tokenizers of transformers with a handful of words, made without a file."""

from transformers import PreTrainedTokenizerFast

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = """
    the cat sat on a mat and dog ran home who where is was it in house tree bird sang . , ? ü ß 家
""".split()  # noqa: SIM905 - thirty lines as a list
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_tokenizer(**options):
    """[CLS] a [SEP] and [CLS] a [SEP] b [SEP]; a token is a word or a sign, letters of any case."""
    return _tokenizer(pre_tokenizers.BertPreTokenizer(), WORDS, normalizers.Lowercase(), **options)


def spaced_tokenizer(**options):
    """As SentencePiece cuts: a word has the blank before it, which counts to its characters."""
    words = [f"▁{word}" for word in WORDS]
    return _tokenizer(pre_tokenizers.Metaspace(prepend_scheme="always"), ["▁", *words], None, **options)


def _tokenizer(splitter, words, normalizer, **options):
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[1]))
    tokenizer.pre_tokenizer = splitter
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **options)
