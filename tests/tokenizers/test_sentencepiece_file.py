import random
import tracemalloc

import pytest

import sentencepiece_models as made
from bigbird.errors import CheckpointError
from bigbird.tokenizers import TextTokenizer
from bigbird.tokenizers.sentencepiece_file import MAX_FILE_BYTES, Kind, parse_sentencepiece
from sentencepiece_models import BYTE, CONTROL, NORMAL, SYMBOL, UNKNOWN, field, varint

SMALL = [("<unk>", 0.0, UNKNOWN), ("<pad>", 0.0, CONTROL), ("[X]", 0.0, SYMBOL), ("▁", -1.5, NORMAL)]
ASK = r"is no usable sentencepiece model: .*{}.*\. Copy the file that was published with the checkpoint\.$"


def test_pieces_scores_kinds_and_settings_are_read():
    more = field(99, 7) + field(98, 1.0) + varint(97 << 3 | 1) + bytes(8)  # fields of later versions are passed over
    data = made.model_bytes(
        SMALL, trainer=field(44, b"?") + more, normalizer=field(3, 0) + field(4, 0), charsmap=b"table"
    )
    model = parse_sentencepiece(data)
    assert model.pieces == ("<unk>", "<pad>", "[X]", "▁")
    assert model.scores == (0.0, 0.0, 0.0, -1.5)
    assert model.kinds == (Kind.UNKNOWN, Kind.CONTROL, Kind.SYMBOL, Kind.NORMAL)
    assert (model.unknown_id, model.unknown_text, model.charsmap) == (0, "?", b"table")
    assert (model.byte_fallback, model.add_dummy_prefix, model.remove_extra_whitespaces) == (False, False, False)


def test_what_a_file_leaves_out_has_sentencepiece_s_defaults():
    model = parse_sentencepiece(b"".join(made.piece_bytes(*piece) for piece in SMALL))
    assert (model.byte_fallback, model.add_dummy_prefix, model.remove_extra_whitespaces) == (False, True, True)
    assert (model.unknown_text, model.charsmap) == (" ⁇ ", b"")


GOOD = made.model_bytes(SMALL)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 unknown pieces; exactly one is needed"),
        (GOOD[:-1], "fields? of . bytes?, but . are left"),
        (GOOD + b"\x0a", "ends within a number"),
        (GOOD + b"\x0a" + b"\xff" * 11, "more than ten bytes"),
        (GOOD + varint(1 << 3 | 2) + varint(1 << 62), "a field of 4611686018427387904 bytes, but 0 are left"),
        (GOOD + varint(9 << 3 | 3), "wire type 3 does not occur"),
        (GOOD + field(1, 5), "a message has the wrong wire type"),
        (GOOD + field(2, b""), "field 2 stands twice"),
        (GOOD + field(1, field(1, 5)), "text or bytes have the wrong wire type"),
        (GOOD + field(1, field(1, b"\xff\xfe")), "not UTF-8"),
        (GOOD + field(1, field(1, b"a") + field(2, 5)), "a score has the wrong wire type"),
        (GOOD + field(1, field(1, b"a") + field(2, float("nan"))), "a piece has the score nan"),
        (GOOD + field(1, field(1, b"a") + field(2, float("inf"))), "a piece has the score inf"),
        (GOOD + field(1, field(1, b"a") + field(3, b"")), "a number has the wrong wire type"),
        (GOOD + field(1, field(1, b"a") + field(3, 9)), "a piece has the unknown kind 9"),
        (GOOD + field(1, b""), "piece 4 has 0 characters; allowed are 1 to 512"),
        (GOOD + made.piece_bytes("a" * 513), "piece 4 has 513 characters; allowed are 1 to 512"),
        (GOOD + made.piece_bytes("[X]"), r"the piece '\[X\]' stands 2 times"),
        (made.model_bytes([*SMALL, ("<u>", 0.0, UNKNOWN)]), "2 unknown pieces"),
        (made.model_bytes(SMALL[:-1]), "lacks the piece ▁"),
        (made.model_bytes(SMALL, trainer=field(35, 1)), "falls back to bytes and has 0 of the 256 byte pieces"),
        (
            GOOD + made.piece_bytes("ab", 0.0, BYTE),
            "the piece 'ab' stands for a byte, and its name is none like <0x41>",
        ),
        (made.model_bytes(SMALL, trainer=field(44, b"?" * 513)), "writes for the unknown piece has more than 512 char"),
        (GOOD + field(99, 0) * 200_000, "more than 100000 fields beside its pieces"),
        (made.model_bytes(SMALL, trainer=field(99, 0) * 200_000), "a message has more than 100000 fields"),
        (GOOD + field(1, field(1, b"a") + field(99, 0) * 16), "a message has more than 16 fields"),
        (made.model_bytes(SMALL, trainer=field(3, 2)), "its type is bpe; bigbird reads unigram models"),
        (made.model_bytes(SMALL, trainer=field(24, 1)), "marks spaces in another way"),
        (made.model_bytes(SMALL, normalizer=field(5, 0)), "marks spaces in another way"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_with_the_reason(data, why):
    with pytest.raises(CheckpointError, match=ASK.format(why)):
        parse_sentencepiece(data)


def test_a_file_that_claims_much_costs_little():
    tracemalloc.start()
    for data in (GOOD + varint(1 << 3 | 2) + varint(1 << 40), made.piece_bytes("a") * 1000 + b"\x0a\xff"):
        with pytest.raises(CheckpointError):
            parse_sentencepiece(data)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_a_million_pieces_are_refused_without_reading_them_all():
    with pytest.raises(CheckpointError, match="more than 400000 pieces"):
        parse_sentencepiece(field(1, b"") * 1_000_000)


def test_a_file_larger_than_any_vocabulary_is_not_read(tmp_path):
    path = tmp_path / "spiece.model"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(CheckpointError, match=f"spiece.model is no usable .* it has {MAX_FILE_BYTES + 1} bytes"):
        TextTokenizer.from_sentencepiece(path, family="bigbird")
    with pytest.raises(CheckpointError, match="missing cannot be read: .*No such file"):
        TextTokenizer.from_sentencepiece(tmp_path / "missing", family="bigbird")


def test_any_damage_is_an_error_or_another_vocabulary_never_a_crash():
    whole, numbers = made.tiny(charsmap=made.charsmap_bytes({"ﬁ": "fi", "e\u0301": "é", "\n": " "})), random.Random(0)
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(numbers.randint(1, 4)):
            place = numbers.randrange(len(data))
            data[place : place + numbers.randint(0, 2)] = numbers.randbytes(numbers.randint(0, 2))
        try:
            TextTokenizer(bytes(data), family="bigbird").encode_batch(["the ﬁfth e\u0301\n日本"])
        except CheckpointError:
            refused += 1
    assert refused > 30
