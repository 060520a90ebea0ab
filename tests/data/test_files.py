import contextlib
import errno
import gzip
import json
import os
from pathlib import Path

import pytest

from bigbird.data.files import (
    check_new_file,
    check_new_folder,
    ending_of,
    is_bgzip,
    is_gzip,
    json_text,
    open_binary,
    read_lines,
    sync,
    written_whole,
)
from bigbird.errors import DataError, InputError


def bgzip_block(data):
    """One block as the SAM specification (4.1) makes it: gzip whose extra field BC holds the block's size less one."""
    member = gzip.compress(data, mtime=0)
    head, rest = member[:10], member[10:]
    size = len(member) + 8 - 1
    return head[:3] + b"\4" + head[4:] + b"\6\0BC\2\0" + size.to_bytes(2, "little") + rest


BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def written(tmp_path, content, name="file"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_disk_that_is_really_full_is_told_with_the_name_of_the_file(tmp_path):
    # The system does not say which file it was, where it says so of a file that cannot be opened.
    (tmp_path / ".a.txt.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error, written_whole(tmp_path / "a.txt") as path:
        path.write_bytes(b"x")
    assert error.value.filename == str(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_stays_one(tmp_path):
    with pytest.raises(BrokenPipeError), written_whole(tmp_path / "a.txt"):
        raise BrokenPipeError(errno.EPIPE, "gone")


def test_what_cannot_reach_the_disk_is_told_with_its_name(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(OSError, match="No space left") as error:
        sync(tmp_path / "a.txt")
    assert error.value.filename == str(tmp_path / "a.txt")


def test_bgzip_is_told_from_gzip_and_plain_text(tmp_path):
    bgzip = written(tmp_path, bgzip_block(b"text") + BGZIP_END)
    assert (is_bgzip(bgzip), is_gzip(bgzip)) == (True, True)
    with open_binary(bgzip) as file:
        assert file.read() == b"text"
    named = written(tmp_path, b"\x1f\x8b\x08\x08" + gzip.compress(b"text", mtime=0)[4:10] + b"aBBC\0" + b"rest of it")
    assert (is_bgzip(named), is_gzip(named)) == (False, True)
    for text in (b"", b"\x1f\x8b", b"text longer than a header of gzip"):
        assert not is_bgzip(written(tmp_path, text))


@pytest.mark.parametrize("kept", [1, 2])
def test_bgzip_cut_between_two_blocks_is_refused(tmp_path, kept):
    path = written(tmp_path, b"".join([bgzip_block(b"one\n"), bgzip_block(b"two\n"), BGZIP_END][:kept]), "cut.gz")
    with pytest.raises(DataError, match=r"cut.gz is cut off: the block that ends a bgzip file is missing\. Copy or"):
        list(read_lines(path))


def test_gzip_needs_no_last_block(tmp_path):
    assert list(read_lines(written(tmp_path, gzip.compress(b"one\n") + gzip.compress(b"two\n")))) == [
        (1, "one"),
        (2, "two"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    mark = "\ufeff".encode()
    path = written(tmp_path, mark + b"name\n" + mark + b"x\n")
    assert list(read_lines(path)) == [(1, "name"), (2, "\ufeffx")]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    with pytest.raises(UnicodeEncodeError), written_whole(path) as temporary:
        temporary.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_to_write_names_the_file_the_caller_named(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(IsADirectoryError) as caught, written_whole(path) as temporary:
        temporary.write_text("text")
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, written_whole(tmp_path / "other"):
        pass
    assert caught.value.filename == str(tmp_path / "other")


def test_a_failure_elsewhere_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, written_whole(tmp_path / "file"):
        (tmp_path / "nowhere").read_text()
    assert caught.value.filename == str(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("check", "name", "message"),
    [
        (check_new_file, "folder", r"--out .*folder is a folder; name a file, new or to be replaced"),
        (check_new_file, "pipe", r"--out .*pipe is not an ordinary file; name a file"),
        (check_new_file, "file/new", r"--out .*file/new cannot be written: .*file is a file, not a folder"),
        (check_new_file, "file/new/newer", r"cannot be written: .*file is a file, not a folder"),
        (check_new_folder, "file", r"--out .*file is a file; name a folder, new or one to write into"),
        (check_new_folder, "file/new", r"--out .*file/new cannot be written: .*file is a file, not a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, check, name, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=message):
        check(tmp_path / name)


@pytest.mark.parametrize("check", [check_new_file, check_new_folder])
def test_a_folder_without_the_right_to_write_is_told(tmp_path, monkeypatch, check):
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    with pytest.raises(InputError, match=r"--out .*new/x cannot be written: you may not write into the folder /"):
        check(tmp_path / "new" / "x")


def test_what_can_be_written_passes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name in ("new", "folder/new", "a/b/c", "file"):
        check_new_file(tmp_path / name)
    for name in ("new", "folder", "folder/new", "a/b/c"):
        check_new_folder(type(tmp_path)(name))


def test_json_has_null_where_it_has_no_number():
    value = {"a": float("nan"), "b": [1.5, float("inf"), (float("-inf"), "x")], "c": {"d": None, "e": 3}}
    assert json.loads(json_text(value)) == {"a": None, "b": [1.5, None, [None, "x"]], "c": {"d": None, "e": 3}}
    assert json_text({}) == "{}\n"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_disk_that_syncs_no_folders_is_no_error_and_a_file_that_is_not_synced_is(tmp_path, monkeypatch, code):
    def fsync(_):
        raise OSError(code, os.strerror(code))

    sync(tmp_path)
    (tmp_path / "file").write_text("text")
    monkeypatch.setattr(os, "fsync", fsync)
    with contextlib.nullcontext() if code == errno.EINVAL else pytest.raises(OSError, match="Input/output error"):
        sync(tmp_path)
    with pytest.raises(OSError, match=os.strerror(code)):
        sync(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "ending"),
    [("Peaks.BED.gz", ".bed"), ("a.b.csv", ".csv"), ("x.narrowPeak", ".narrowpeak"), ("reads.gz", ""), ("none", "")],
)
def test_a_name_says_what_a_file_holds_whether_packed_or_not(name, ending):
    assert ending_of(Path(name)) == ending
