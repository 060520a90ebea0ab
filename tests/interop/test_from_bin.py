"""pytorch_model.bin: its tensors come out, nothing in it runs, and it can take neither memory nor time."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from bigbird.errors import BigBirdError, CheckpointError, ConfigError
from bigbird.interop import pickle_file
from bigbird.interop.pickle_file import made_safe

BIN = "pytorch_model.bin"


@pytest.fixture
def places(tmp_path):
    """A folder to be filled, and one for what comes out."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    return tmp_path / "old", tmp_path / "new"


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def refused(places, message, kind=CheckpointError):
    old, new = places
    with pytest.raises(kind, match=message) as caught:
        made_safe(old, new)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert isinstance(caught.value, BigBirdError)


@pytest.mark.parametrize("is_zip", [True, False])
def test_tensors_come_out_as_they_were(places, is_zip):
    old, new = places
    weights = {"a": torch.nn.Parameter(torch.randn(3, 4)), "b": torch.randn(2).bfloat16(), "ids": torch.arange(3)}
    weights["tied"] = weights["a"]
    torch.save(weights, old / BIN, _use_new_zipfile_serialization=is_zip)
    made_safe(old, new)
    found = load_file(new / "model.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name].detach()) for name in weights)


def test_shards_and_their_index_come_out(places):
    old, new = places
    names = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    for name, file in names.items():
        torch.save({name: torch.ones(2)}, old / file)
    (old / f"{BIN}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    made_safe(old, new)
    index = json.loads((new / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: file.replace(".bin", ".safetensors") for name, file in names.items()}
    assert torch.equal(load_file(new / index["weight_map"]["b"])["b"], torch.ones(2))


@pytest.mark.parametrize("file", ["../outside.bin", "/etc/passwd", "sub/x.bin", "x.safetensors", 3, ".bin"])
def test_an_index_leads_nowhere_else(places, file):
    old, _ = places
    (old / f"{BIN}.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    refused(places, r"is not the name of a .bin file in the folder; nothing elsewhere is read")


def test_an_index_without_names_and_a_folder_without_weights_are_refused(places):
    refused(places, r"has neither pytorch_model.bin nor pytorch_model.bin.index.json")
    (places[0] / f"{BIN}.index.json").write_text("{}")
    refused(places, r"weight_map must name the file of every tensor")
    (places[0] / f"{BIN}.index.json").write_text(json.dumps({"weight_map": {"a": "lost.bin"}}))
    refused(places, r"lost.bin cannot be read: No such file")


def test_a_named_pipe_is_never_waited_for(places):
    (places[0] / f"{BIN}.index.json").write_text(json.dumps({"weight_map": {"a": "x.bin"}}))
    os.mkfifo(places[0] / "x.bin")
    refused(places, r"x.bin is no ordinary file, so it is not opened")


def test_a_link_out_of_the_folder_is_refused(places):
    torch.save({"a": torch.ones(1)}, places[1].parent / "outside.bin")
    (places[0] / BIN).symlink_to(places[1].parent / "outside.bin")
    refused(places, r"is a link to .*outside.bin, outside the folder")


def test_safe_weights_are_not_read_from_a_pickle(places):
    torch.save({"a": torch.ones(1)}, places[0] / BIN)
    (places[0] / "model.safetensors").write_bytes(b"")
    refused(places, r"has model.safetensors, which is safe to read; leave out --from-bin", ConfigError)


def test_a_payload_does_not_run(places, tmp_path):
    canary = tmp_path / "canary"
    torch.save({"a": Payload(canary)}, places[0] / BIN)
    refused(places, r"is not read: it names (posix|nt)\.system, which is not run\. A file of weights holds tensors")
    (places[0] / BIN).write_bytes(pickle.dumps(Payload(canary), protocol=2))
    refused(places, r"it names (posix|nt)\.system, which is not run")
    assert not canary.exists()


def test_a_zip_bomb_is_not_unpacked(places):
    with zipfile.ZipFile(places[0] / BIN, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(50_000_000))
    refused(places, r"its part 'archive/data.pkl' is compressed, which PyTorch never does")


def test_a_tensor_said_to_be_larger_than_its_file_is_refused(places):
    torch.save({"a": torch.zeros(1).expand(2**38)}, places[0] / BIN)
    refused(places, r"'a' is said to have 1,099,511,627,776 bytes, the whole file has")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(1)], r"it holds list, not tensors by name"),
        ({}, r"it holds dict, not tensors by name"),
        ({"a": 3}, r"'a' is int, not a tensor by name"),
        ({"a": torch.eye(2).to_sparse()}, r"'a' is no plain tensor"),
    ],
)
def test_what_is_no_set_of_tensors_is_refused(places, value, message):
    torch.save(value, places[0] / BIN)
    refused(places, message)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_a_tensor_of_another_layout_is_refused(places):
    torch.save({"a": torch.eye(2).to_sparse_csr()}, places[0] / BIN)
    refused(places, r"'a' is no plain tensor")


@pytest.mark.parametrize("content", [b"", b"hello" * 50, b"PK\x03\x04" + bytes(50)])
def test_garbage_is_refused(places, content):
    (places[0] / BIN).write_bytes(content)
    refused(places, r"torch.save wrote no such file")


def test_memory_and_time_are_limited(places, monkeypatch):
    torch.save({"a": torch.zeros(50_000_000)}, places[0] / BIN)
    monkeypatch.setattr(pickle_file, "_COPIES", 0)
    monkeypatch.setattr(pickle_file, "_SPARE_BYTES", 2**20)
    refused(places, r"takes more than 0.0 GiB of memory")


def test_what_cannot_be_written_is_no_fault_of_the_pickle(places):
    torch.save({"a": torch.zeros(1)}, places[0] / BIN)
    with pytest.raises(CheckpointError, match=r"gone/model.safetensors cannot be written: .*No such file"):
        made_safe(places[0], places[1] / "gone")


FENCED = """
import os, socket, subprocess, sys
sys.path.insert(0, {folder!r})
import unpickling
unpickling._fence({target!r}, 2**30, {seconds})
{attempt}
"""


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        ("os.system('true')", "it tried to run code (os.system)"),
        ("subprocess.run(['true'])", "it tried to run code (subprocess.Popen)"),
        ("socket.socket()", "it tried to run code (socket.__new__)"),
        ("os.fork()", "it tried to run code (os.fork)"),
        ("import ctypes; ctypes.CDLL(None)", "it tried to run code (ctypes.dlopen)"),
        ("open({outside!r}, 'w')", "it tried to write a file"),
        ("os.remove({outside!r})", "it tried to run code (os.remove)"),
        ("x = bytearray(2**31)", "MemoryError"),
        ("open({target!r}, 'w').write('fine'); print('fine', file=sys.stderr)", "fine"),
    ],
)
def test_even_code_that_ran_could_do_nothing(tmp_path, attempt, told):
    (tmp_path / "out").mkdir()
    target, outside = str(tmp_path / "out" / "x"), str(tmp_path / "outside")
    folder = str(pickle_file._PROGRAM.parent)
    program = FENCED.format(
        folder=folder, target=target, seconds=60, attempt=attempt.format(outside=outside, target=target)
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert told in done.stderr
    assert not (tmp_path / "outside").exists()
    assert (done.returncode == 0) == (told == "fine")


def test_processor_time_is_limited(tmp_path):
    program = FENCED.format(
        folder=str(pickle_file._PROGRAM.parent), target=str(tmp_path / "x"), seconds=1, attempt="while True: pass"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, check=False)
    assert "processor time" in pickle_file._why(done.returncode, "", 1, 1)
