"""Tiny sentencepiece files made byte by byte, so that tests need neither the package nor published vocabularies."""

import struct

NORMAL, UNKNOWN, CONTROL, SYMBOL, UNUSED, BYTE = range(1, 7)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def piece_bytes(piece, score=0.0, kind=NORMAL):
    return field(1, field(1, piece.encode()) + field(2, score) + (field(3, kind) if kind != NORMAL else b""))


def model_bytes(pieces, *, charsmap=b"", trainer=b"", normalizer=b""):
    """A `.model` file of (piece, score, kind) triples; `trainer` and `normalizer` are further fields."""
    unknown = next((index for index, piece in enumerate(pieces) if piece[2] == UNKNOWN), 0)
    spec = field(3, 1) + field(40, unknown) + trainer
    return (
        b"".join(piece_bytes(*piece) for piece in pieces) + field(2, spec) + field(3, field(2, charsmap) + normalizer)
    )


def charsmap_bytes(replacements):
    """The compiled table of `replacements`: a double-array trie in which node k has its children at 256 k."""
    texts, places = b"", {}
    for value in replacements.values():
        places[value] = len(texts)
        texts += value.encode() + b"\0"
    nodes, units = {b"": 0}, {}
    keys = {key.encode(): places[value] for key, value in replacements.items()}
    for key in keys:
        for end in range(1, len(key) + 1):
            nodes.setdefault(key[:end], len(nodes))

    def place(prefix):
        return 256 * (nodes[prefix[:-1]] + 1) ^ prefix[-1] if prefix else 0

    for prefix, number in nodes.items():
        offset = place(prefix) ^ 256 * (number + 1)
        label = prefix[-1] if prefix else 0
        units[place(prefix)] = offset << 10 | (256 if prefix in keys else 0) | label
        if prefix in keys:
            units[256 * (number + 1)] = 1 << 31 | keys[prefix]
    trie = struct.pack(f"<{256 * (len(nodes) + 1)}I", *(units.get(index, 0) for index in range(256 * (len(nodes) + 1))))
    return struct.pack("<I", len(trie)) + trie + texts


WIDE = {chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)}
NFKC = {
    **WIDE,
    "ﬁ": "fi", "\u3000": " ", "\u00a0": " ", "\n": " ", "\t": " ", "\u200b": "", "e\u0301": "é", "´": " \u0301",
    "ᄒ\u1161": "하", "ᄒ\u1161\u11ab": "한",
}  # fmt: skip

# the ids and names of BigBird's own vocabulary, shortened
SPECIALS = [
    ("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), ("<s>", 0.0, SYMBOL), ("[CLS]", 0.0, SYMBOL),
    ("[SEP]", 0.0, SYMBOL), ("[MASK]", 0.0, SYMBOL), ("<unk>", 0.0, UNKNOWN),
]  # fmt: skip
ASCII = [(chr(code), -4.0, NORMAL) for code in range(0x21, 0x7F)]
WORDS = [
    ("▁", -2.0, NORMAL), ("▁the", -1.0, NORMAL), ("▁f", -3.0, NORMAL), ("if", -2.5, NORMAL), ("th", -2.0, NORMAL),
    ("é", -5.0, NORMAL), ("한", -5.0, NORMAL), ("▁fifth", -3.0, NORMAL), ("▁ab▁ab", -1.0, NORMAL),
]  # fmt: skip
TINY = [*SPECIALS, *ASCII, *WORDS]


def ties():
    """All scores 0, as in BigBird's vocabulary: where pieces tie, the longest from the right wins."""
    pieces = ["▁", "▁a", "ab", "abc", "bc", "bcd", "cd", "d", "▁ab", "c"]
    return model_bytes([*SPECIALS, *((piece, 0.0, NORMAL) for piece in pieces), *((p, 0.0, NORMAL) for p in "abxyz")])


def tiny(**changes):
    return model_bytes(TINY, **({"charsmap": charsmap_bytes(NFKC)} | changes))


def with_bytes():
    """Unknown characters become bytes."""
    pieces = [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    return model_bytes([*TINY, *pieces], trainer=field(35, 1), charsmap=charsmap_bytes(NFKC))


def pegasus(*, published_by_bigbird):
    """<unk> at 2, as Pegasus publishes it, or at 105 behind 103 unused pieces, as BigBird does."""
    unused = [(f"<unused_{number}>", 0.0, SYMBOL) for number in range(103)] if published_by_bigbird else []
    start = [("<pad>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), *unused, ("<unk>", 0.0, UNKNOWN), ("<n>", 0.0, SYMBOL)]
    return model_bytes([*start, *ASCII, *WORDS], charsmap=charsmap_bytes(NFKC))
