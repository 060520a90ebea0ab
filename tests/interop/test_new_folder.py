"""A folder that is written is there completely or not at all, and a place that cannot be one is told before work."""

import os
import resource

import pytest

from bigbird.errors import BigBirdError, CheckpointError, ConfigError
from bigbird.interop import huggingface
from bigbird.interop.new_folder import check_new, new_folder
from bigbird.interop.warm_start import Goal, prepare
from hub_folders import change_config, hub_folder, random_model


def test_a_block_that_ends_gives_the_folder_and_one_that_fails_nothing_not_even_the_folders_above(tmp_path):
    with new_folder(tmp_path / "a" / "b") as place:
        (place / "x").write_text("x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    with pytest.raises(IsADirectoryError), new_folder(tmp_path / "a" / "new" / "c") as place:
        place.write_text("x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty"):
        pass


def test_a_failed_conversion_leaves_no_folder_above_its_target(tmp_path):
    folder = hub_folder(tmp_path / "model")
    change_config(folder, hidden_act="silu")
    with pytest.raises(CheckpointError, match="hidden_act"):
        prepare(folder, Goal()).save(tmp_path / "new" / "deep" / "big")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("stopped_in", ["huggingface_writing.write_weights", "warm_start_result.tokenizer_files.carry"])
def test_ctrl_c_during_a_conversion_leaves_nothing(tmp_path, monkeypatch, stopped_in):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    folder = hub_folder(tmp_path / "model")
    monkeypatch.setattr(f"bigbird.interop.{stopped_in}", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder, Goal()).save(tmp_path / "new" / "big")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _no_place(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", r"exists already; give a new folder"),
        ("pipe", r"exists already; give a new folder"),
        ("dangling", r"exists already; give a new folder"),
        ("link", r"exists already; give a new folder"),
        ("file/x", r"cannot be written: .*/file is a file, not a folder"),
        ("new/..", r"names no new folder"),
        ("a" * 256, r"a+ cannot be made: File name too long"),
        ("a" * 250, r"a+ cannot be made: File name too long"),
    ],
)
def test_what_can_be_no_new_folder_is_told_at_once(tmp_path, name, message):
    with pytest.raises(BigBirdError, match=message):
        check_new(_no_place(tmp_path) / name)
    with pytest.raises(BigBirdError, match=message):
        huggingface.save(random_model("load_encoder"), tmp_path / name)


def test_a_mounted_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    with pytest.raises(ConfigError, match=r"exists already"):
        check_new(tmp_path)


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointError, match=r"model.safetensors cannot be written: .*File too large"):
            huggingface.save(random_model("load_encoder"), tmp_path / "new" / "model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
