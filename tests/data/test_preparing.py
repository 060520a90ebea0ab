"""Preparing: the same bytes however it is done and however often it is interrupted; nothing mixed up in silence."""

import errno
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from bigbird.data import corpus_tokenizer
from bigbird.data.folder_lock import LOCK_FILE, folder_lock
from bigbird.data.prepared import PreparedCorpus
from bigbird.errors import BigBirdError, CheckpointError, ConfigError, DataError, InputError
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer
from corpora import contents, dna_lines, prepared
from helpers import dna

TESTS = Path(__file__).parents[1]


@pytest.fixture
def lines(tmp_path):
    return dna_lines(tmp_path / "a.jsonl")


def test_the_tokens_are_those_of_the_documents_in_order(tmp_path, lines):
    manifest, _ = prepared(tmp_path / "corpus", lines)
    corpus = PreparedCorpus.open(tmp_path / "corpus")
    tokenizer = corpus.load_tokenizer()
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [corpus.name(number) for number in range(len(rows))] == [row["id"] for row in rows]
    for number, row in enumerate(rows):
        assert tokenizer.decode(corpus.tokens(number)) == row["text"]
    assert len(manifest.shards) > 3
    assert manifest.num_letters == manifest.num_tokens == sum(len(row["text"]) for row in rows)
    assert 0 < manifest.num_held_out == int(corpus.is_held_out.sum()) < 20
    assert not (tmp_path / "corpus" / "unfinished.json").exists()


def test_ids_have_two_bytes_where_they_suffice(tmp_path, lines):
    assert prepared(tmp_path / "small", lines)[0].dtype == "<u2"
    words = [f"w{number}" for number in range(66_000)]
    (tmp_path / "words").mkdir()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "words" / "vocab.txt").write_text("\n".join([*specials, *words]))
    (tmp_path / "words" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (tmp_path / "words.jsonl").write_text('{"text": "w3 w65999", "id": "a"}\n')
    large, _ = prepared(tmp_path / "large", tmp_path / "words.jsonl", tokenizer=str(tmp_path / "words"), held_out=0)
    assert large.dtype == "<u4"
    assert PreparedCorpus.open(tmp_path / "large").tokens(0).tolist() == [8, 66_004]


def test_tokens_that_cannot_be_masked_are_refused(tmp_path, lines):
    (tmp_path / "kmers").mkdir()
    KmerTokenizer(8).save(tmp_path / "kmers")
    with pytest.raises(ConfigError, match="tokens that spell out their bases cannot be masked. Take another tokenizer"):
        prepared(tmp_path / "corpus", lines, tokenizer=str(tmp_path / "kmers"))


def test_several_workers_make_the_same_bytes(tmp_path, lines):
    prepared(tmp_path / "one", lines, tokenizer="dna-bpe:40")
    prepared(tmp_path / "three", lines, tokenizer="dna-bpe:40", workers=3)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


def test_a_second_run_does_nothing_and_says_so(tmp_path, lines):
    prepared(tmp_path / "corpus", lines)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus").rglob("*")}
    _, said = prepared(tmp_path / "corpus", lines)
    assert f"nothing to do: {tmp_path / 'corpus'} holds this corpus already" in said
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "corpus").rglob("*")} == before


KILLED = """
    import os, sys
    from pathlib import Path
    from bigbird.data import files
    from corpora import contents, prepared

    folder, source = Path(sys.argv[1]), sys.argv[2]
    real_replace, real_rename, real_write = Path.replace, Path.rename, Path.write_bytes

    def run(place, moment):
        # Prepare, and be gone without a last word at a write or a rename: before it, in the middle of it, behind it.
        count = 0

        def at_moment(name):
            nonlocal count
            count += moment.startswith(name)
            return moment.startswith(name) and count == int(moment.split()[-1])

        def moved(real):
            def move(path, target):
                if at_moment("before"): os._exit(9)
                done = real(path, target)
                if at_moment("behind"): os._exit(9)
                return done
            return move

        def write(path, data):
            if at_moment("within"):
                real_write(path, data[: len(data) // 2])
                os._exit(9)
            return real_write(path, data)

        Path.replace, Path.rename, Path.write_bytes = moved(real_replace), moved(real_rename), write
        prepared(place, source, tokenizer="dna-bpe:40")
        os._exit(0)

    def in_child(place, moment):
        child = os.fork()
        if not child:
            run(place, moment)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_child(folder / "whole", "never 0") == 0
    whole, tried = contents(folder / "whole"), 0
    for kind in ("before", "behind", "within"):
        for number in range(1, 100):
            place = folder / f"{kind} {number}"
            if in_child(place, f"{kind} {number}") == 0:
                break
            assert in_child(place, "never 0") == 0, place
            assert contents(place) == whole, place
            tried += 1
    # and one that dies at every fifth rename still comes to its end: a shard needs four
    number = 0
    while number < 100 and (code := in_child(folder / "often", "behind 5")) == 9:
        number += 1
    assert code == 0 and contents(folder / "often") == whole
    print("tried", tried, number)
"""


def test_killed_at_any_write_it_goes_on_to_the_same_bytes(tmp_path):
    dna_lines(tmp_path / "a.jsonl", count=12)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(tmp_path / "a.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS)
    assert done.returncode == 0, done.stderr
    tried, often = map(int, done.stdout.split()[1:])
    assert tried > 20
    assert often > 2


def interrupted(monkeypatch, folder, lines, *, shards, **config):
    """Leave `folder` as a run does that is stopped behind so many shards."""
    from bigbird.data import shard_making

    real, count = shard_making.write_shard, 0

    def write(*arguments, **options):
        nonlocal count
        count += 1
        if count > shards:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shard_making, "write_shard", write)
        with pytest.raises(KeyboardInterrupt):
            prepared(folder, lines, **config)


def test_finished_shards_are_kept_and_not_made_again(tmp_path, lines, monkeypatch):
    folder = tmp_path / "corpus"
    interrupted(monkeypatch, folder, lines, shards=2)
    before = {path: path.stat().st_mtime_ns for path in (folder / "shards").iterdir()}
    _, said = prepared(folder, lines)
    assert "going on behind 2 finished shards" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    prepared(tmp_path / "whole", lines)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_shard_damaged_while_interrupted_is_made_anew(tmp_path, lines, monkeypatch):
    folder = tmp_path / "corpus"
    interrupted(monkeypatch, folder, lines, shards=3)
    (folder / "shards" / "00001.tokens").write_bytes(b"")
    _, said = prepared(folder, lines)
    assert "going on behind 1 finished shards" in said
    prepared(tmp_path / "whole", lines)
    assert contents(folder) == contents(tmp_path / "whole")


def change(lines):
    lines.write_text(lines.read_text().replace("A", "C", 1))


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("config", "act", "text"),
    [
        ({"tokenizer": "dna-bpe:40"}, None, "was prepared with tokenizer 'single-base', now it is 'dna-bpe:40'"),
        ({"seed": 1}, None, "was prepared with seed 0, now it is 1. Prepare into another folder, or delete"),
        ({"held_out": 0.5}, None, "was prepared with held_out 0.2, now it is 0.5"),
        ({}, change, "was prepared from another a.jsonl: it has changed since then"),
        ({}, lambda lines: dna_lines(lines.with_name("b.jsonl")), "from other sources: b.jsonl was not among them"),
        ({}, lambda lines: lines.rename(lines.with_name("c.jsonl")), "a.jsonl is no longer among the sources"),
    ],
)
def test_another_tokenizer_or_setting_and_changed_sources_are_refused(
    tmp_path, lines, monkeypatch, is_finished, config, act, text
):
    folder = tmp_path / "corpus"
    if is_finished:
        prepared(folder, lines)
    else:
        interrupted(monkeypatch, folder, lines, shards=1)
    before = contents(folder)
    if act:
        act(lines)
    with pytest.raises(ConfigError, match=text):
        prepared(folder, *sorted(tmp_path.glob("*.jsonl")), **config)
    assert contents(folder) == before


def test_sources_in_another_order_are_refused(tmp_path, lines):
    other = dna_lines(tmp_path / "b.jsonl", count=3)
    prepared(tmp_path / "corpus", lines, other)
    with pytest.raises(ConfigError, match="from the same sources in another order"):
        prepared(tmp_path / "corpus", other, lines)


def test_of_sources_with_one_name_each_is_told_apart(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    first, second = (dna_lines(tmp_path / folder / "a.jsonl", count=5) for folder in ("x", "y"))
    second.write_text(second.read_text().replace("A", "G"))
    prepared(tmp_path / "corpus", first, second)
    with pytest.raises(ConfigError, match=r"from other sources: a.jsonl is no longer among the sources"):
        prepared(tmp_path / "corpus", second)
    change(first)
    with pytest.raises(ConfigError, match=r"was prepared from another a.jsonl: it has changed since then"):
        prepared(tmp_path / "corpus", first, second)


def test_after_a_fault_in_a_source_it_begins_anew(tmp_path, lines):
    good = lines.read_text()
    lines.write_text(good + '{"id": "last", "text": "GATTACA!"}\n')
    with pytest.raises(DataError, match="is not a DNA letter"):
        prepared(tmp_path / "corpus", lines, seed=1)
    lines.write_text(good)
    prepared(tmp_path / "corpus", lines)
    prepared(tmp_path / "whole", lines)
    assert contents(tmp_path / "corpus") == contents(tmp_path / "whole")


def test_names_that_are_no_unicode_are_kept_as_far_as_they_are(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a\\ud800b", "text": "GATTACA"}\n{"id": "c", "text": "GAT"}\n')
    prepared(tmp_path / "corpus", tmp_path / "a.jsonl", held_out=None, hold_out=("c",))
    corpus = PreparedCorpus.open(tmp_path / "corpus")
    assert [corpus.name(number) for number in range(2)] == ["a\ufffdb", "c"]


def test_documents_without_text_are_left_out_aloud(tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text(
        "".join(f'{{"id": "{n}", "text": "{t}"}}\n' for n, t in enumerate(["GA", "", " ", "T"]))
    )
    manifest, _ = prepared(tmp_path / "corpus", tmp_path / "a.jsonl", held_out=None, hold_out=("0",))
    assert manifest.num_documents == 2
    assert "2 documents without text are left out; the first is " in caplog.text
    assert "a.jsonl:2" in caplog.text


def test_without_anything_held_out_it_says_what_that_means(tmp_path, lines, caplog):
    prepared(tmp_path / "corpus", lines, held_out=0)
    assert "no document is held out, so bigbird train will refuse the corpus" in caplog.text


def test_documents_that_give_no_tokens_are_left_out_aloud(tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n")
    (tmp_path / "words" / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    source, words = tmp_path / "a.jsonl", str(tmp_path / "words")
    source.write_text('{"text": "a b", "id": "x"}\n{"text": "\\u0001", "id": "y"}\n{"text": "b", "id": "z"}\n')
    manifest, said = prepared(tmp_path / "corpus", source, tokenizer=words, held_out=None, hold_out=("z",))
    assert manifest.num_documents == 2
    assert "1 documents that give no tokens are left out" in said
    with pytest.raises(DataError, match="no document that is trained on gives any tokens"):
        prepared(tmp_path / "other", source, tokenizer=words, held_out=None, hold_out=("x", "z"))


def test_a_folder_of_a_tokenizer_is_taken_over_and_another_one_is_refused(tmp_path, lines):
    for name, size in (("one", 40), ("other", 41)):
        (tmp_path / name).mkdir()
        DnaTokenizer.train([dna(3000, 1)], vocab_size=size).save(tmp_path / name)
    prepared(tmp_path / "corpus", lines, tokenizer=str(tmp_path / "one"))
    assert contents(tmp_path / "corpus" / "tokenizer") == contents(tmp_path / "one")
    _, said = prepared(tmp_path / "corpus", lines, tokenizer=str(tmp_path / "one"))
    assert "nothing to do" in said
    with pytest.raises(
        ConfigError, match="was prepared with tokenizer 'the tokenizer with id [0-9a-f]{64}', now it is"
    ):
        prepared(tmp_path / "corpus", lines, tokenizer=str(tmp_path / "other"))


def test_a_damaged_tokenizer_is_told(tmp_path, lines):
    prepared(tmp_path / "corpus", lines)
    (tmp_path / "corpus" / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="tokenizer is not the tokenizer that the corpus was made with"):
        prepared(tmp_path / "corpus", lines)


def test_a_full_disk_names_the_file_and_the_work_goes_on_when_there_is_room(tmp_path, lines, monkeypatch):
    real = Path.write_bytes

    def write(path, data):
        if "00002.documents" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match="No space left") as error:
        prepared(tmp_path / "corpus", lines)
    assert error.value.filename == str(tmp_path / "corpus" / "shards" / "00002.documents")
    monkeypatch.setattr(Path, "write_bytes", real)
    _, said = prepared(tmp_path / "corpus", lines)
    assert "going on behind 2 finished shards" in said
    prepared(tmp_path / "whole", lines)
    assert contents(tmp_path / "corpus") == contents(tmp_path / "whole")


def test_a_loss_of_power_finds_everything_the_manifest_tells_of_on_the_disk(tmp_path, lines, monkeypatch):
    synced, real = [], os.fsync

    def fsync(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "corpus"
    manifest, _ = prepared(folder, lines)
    last = synced.index(str(folder / ".manifest.json.part"))
    for shard in manifest.shards:
        for part in shard.files:
            assert str(folder / "shards" / f".{shard.name}.{part}.part") in synced[:last]
    assert str(folder / ".tokenizer.part" / "tokenizer.json") in synced[:last]
    assert {str(folder / "shards"), str(folder)} <= set(synced[:last])
    assert str(folder) in synced[last:]


def test_fewer_byte_pairs_than_asked_for_are_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "to be or not to be"}\n')
    manifest, said = prepared(tmp_path / "corpus", tmp_path / "a.jsonl", tokenizer="text-bpe:9000", held_out=0)
    assert f"the tokenizer has {manifest.vocab_size} tokens: the documents give no more pairs" in said
    _, said = prepared(tmp_path / "other", tmp_path / "a.jsonl", tokenizer="text-bpe:262", held_out=0)
    assert "the tokenizer has" not in said


def test_two_at_once_are_refused(tmp_path, lines):
    with (
        folder_lock(tmp_path / "corpus"),
        pytest.raises(InputError, match=r"corpus is in use by another program \(process \d+ on "),
    ):
        prepared(tmp_path / "corpus", lines)
    prepared(tmp_path / "corpus", lines)
    assert not (tmp_path / "corpus" / LOCK_FILE).exists()


def test_what_a_killed_preparation_left_is_gone_on_with(tmp_path, lines):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / LOCK_FILE).write_text("process 1 on elsewhere\n")
    prepared(tmp_path / "corpus", lines)
    assert not (tmp_path / "corpus" / LOCK_FILE).exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path, lines):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds other files \(notes.txt\); name a new or an empty folder"):
        prepared(tmp_path / "mine", lines)


def test_a_source_that_changes_while_it_is_read_is_told(tmp_path, lines, monkeypatch):
    from bigbird.data import preparing

    real = preparing.make_shards

    def changing(*arguments, **options):
        yield from real(*arguments, **options)
        change(lines)

    monkeypatch.setattr(preparing, "make_shards", changing)
    with pytest.raises(DataError, match="a source has changed while it was read"):
        prepared(tmp_path / "corpus", lines)


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({"held_out": 0.001}, ConfigError, "--held-out 0.001 drew none of the 40 documents. Give a larger share"),
        ({"held_out": 0.9999}, ConfigError, "all 40 documents are held out; none would be left to train on"),
        ({"held_out": 0.9, "sources": 1}, ConfigError, "the sources hold a single document, and what is trained on "),
        ({"held_out": 1.0}, ConfigError, "--held-out must be a share from 0 to below 1, got 1.0"),
        ({"hold_out": ("a9", "b9")}, ConfigError, "--hold-out or --region names 'b9', and the sources hold no such"),
        (
            {"hold_out": ("a.jsonl",), "name_field": ""},
            ConfigError,
            "--hold-out or --region names 'a.jsonl', and the sources hold no",
        ),
        (
            {"regions": ("a.jsonl:3",), "name_field": ""},
            ConfigError,
            "names 'a.jsonl:3', and the sources hold no such document or cont",
        ),
        ({"walks": 0}, ConfigError, "walks must be from 1 to 1000, got 0"),
        ({"walks": 3}, ConfigError, "a share of them cannot be held out; name contigs or regions with --hold-out"),
        ({"shard_letters": 0}, ConfigError, "shard_letters must be at least 1, got 0"),
        ({"workers": 0}, ConfigError, "--workers must be at least 1, got 0"),
        ({"text_field": "id"}, DataError, r"a.jsonl:1: '0' at position 2 is not a DNA letter"),
        ({"tokenizer": "nowhere"}, ConfigError, "'nowhere' is neither a folder with a tokenizer, nor a model that com"),
        ({"tokenizer": ""}, ConfigError, "--tokenizer '' is neither a folder"),
        ({"tokenizer": "dna-bpe"}, ConfigError, "dna-bpe needs a number from 16 to 16,777,216, for example dna-bpe:4"),
        ({"tokenizer": "text-bpe:9"}, ConfigError, "text-bpe needs a number from 261 to 400,000, for example text-b"),
        ({"tokenizer": "single-base:3"}, ConfigError, "--tokenizer single-base takes no number, got 'single-base:3'"),
    ],
)
def test_mistakes_are_found_before_any_token_is_made(tmp_path, lines, config, error, text):
    if config.pop("sources", 0):
        dna_lines(lines, count=1)
    with pytest.raises(error, match=text):
        prepared(tmp_path / "corpus", lines, **config)
    assert not (tmp_path / "corpus" / "tokenizer").exists()
    assert not (tmp_path / "corpus" / "shards").exists()


def test_sources_without_documents_are_told(tmp_path):
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match="the sources hold no documents: a.txt"):
        prepared(tmp_path / "corpus", tmp_path / "a.txt")


def test_what_is_held_out_depends_on_name_and_seed_alone(tmp_path, lines):
    dna_lines(tmp_path / "more.jsonl", count=80)
    held = []
    for name, source, seed in (("one", lines, 0), ("two", tmp_path / "more.jsonl", 0), ("three", lines, 1)):
        prepared(tmp_path / name, source, seed=seed)
        corpus = PreparedCorpus.open(tmp_path / name)
        held.append(
            {corpus.name(number) for number in corpus.held_out_documents.tolist()} & {f"a{i}" for i in range(40)}
        )
    assert held[0] == held[1] != held[2]
    prepared(tmp_path / "four", lines, held_out=None, hold_out=("a3", "a5"))
    corpus = PreparedCorpus.open(tmp_path / "four")
    assert [corpus.name(number) for number in corpus.held_out_documents.tolist()] == ["a3", "a5"]


def test_a_vocabulary_is_learned_from_what_is_trained_on_alone(tmp_path):
    rows = [{"id": "kept", "text": dna(3000, 1)}, {"id": "out", "text": "GATTACA" * 300}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared(tmp_path / "corpus", tmp_path / "a.jsonl", tokenizer="dna-bpe:60", held_out=None, hold_out=("out",))
    prepared(tmp_path / "all", tmp_path / "a.jsonl", tokenizer="dna-bpe:60", held_out=0)
    lengths = [PreparedCorpus.open(tmp_path / name).num_tokens.tolist()[1] for name in ("corpus", "all")]
    assert lengths[0] > 2 * lengths[1]


def test_a_vocabulary_is_learned_from_all_over_however_long_the_documents_are():
    texts = [("one two three " * 200_000), "four " * 200_000]
    total = sum(map(len, texts))
    few = dict.fromkeys(corpus_tokenizer._LETTERS_TO_TRAIN, total // 2)
    for seed in range(5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(corpus_tokenizer, "_LETTERS_TO_TRAIN", few)
            drawn = list(corpus_tokenizer.training_sample(texts, num_letters=total, kind="text-bpe", seed=seed))
        assert total // 8 < sum(map(len, drawn)) < total


def test_a_worker_that_dies_is_told(tmp_path):
    from bigbird.data import shard_making
    from bigbird.data.shard_making import ShardMaking

    making = ShardMaking(folder=tmp_path, tokenizer_folder=tmp_path, vocab_size=9, shard_letters=1, workers=2)
    told = "a worker process ended by itself; most often the system had no memory left for it"
    with pytest.raises(DataError, match=told), shard_making._encoder(making):
        raise shard_making.BrokenProcessPool


def test_a_fault_found_by_a_worker_process_names_file_and_line(tmp_path, lines):
    rows = lines.read_text().replace('"a39", "text": "', '"a39", "text": "!')
    lines.write_text(rows)
    from bigbird.data.corpus_files import find_files
    from bigbird.data.documents import Reading, read_documents
    from bigbird.data.shard_making import ShardMaking, make_shards

    DnaTokenizer.single_base().save(tmp_path)
    making = ShardMaking(folder=tmp_path, tokenizer_folder=tmp_path, vocab_size=99, shard_letters=10**6, workers=2)
    (file,) = find_files([lines], leave_out=tmp_path)
    with pytest.raises(BigBirdError, match="a.jsonl:40: '!' at position 1 is not a DNA letter"):
        list(make_shards(read_documents(file, Reading()), making, first=0, advance=lambda _: None))
    assert np.zeros(0).size == 0
