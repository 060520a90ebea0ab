"""Models of the Hub come by their name, and only what is safe of them; the Hub is a small server of our own here."""

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bigbird.errors import CheckpointError
from bigbird.interop import hub_download, huggingface
from bigbird.interop.hub_download import hub_name
from hub_folders import hub_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves `files` as owner/model; owner/gated and owner/none are what their names say."""

    files: dict
    asked: list
    is_cut = False

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if "/owner/gated" in path:
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
        elif "/owner/model" not in path:
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif "/none" in path:
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif "/garbled" in path:
            self.answer(200, b"<html>a proxy's page</html>")
        elif path.startswith("/api/models/owner/model/tree/"):
            tree = [{"type": "file", "path": n, "size": len(b), "oid": f"{i:040}"} for i, (n, b) in self.numbered()]
            self.answer(200, json.dumps(tree).encode())
        elif path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.files]
            self.answer(200, json.dumps({"id": "owner/model", "sha": COMMIT, "siblings": siblings}).encode())
        else:
            name = path.rpartition("/")[2]
            number = list(self.files).index(name)  # each its own: files of one tag are one file to a Hub
            missing = 50 if self.is_cut and name == "model.safetensors" else 0
            body, headers = self.files[name], {"ETag": f'"{number:040}"', "X-Repo-Commit": COMMIT}
            self.answer(200, body[: len(body) - missing], headers, missing)

    def numbered(self):
        return enumerate(self.files.items())

    def answer(self, code, body, headers=None, missing=0):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body) + missing), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path):
    """A server with one model, and how to run a command against it: (exit code, what was said)."""
    folder = hub_folder(tmp_path / "model", "load_encoder")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files |= {"modeling.py": b"evil", "pytorch_model.bin": b"evil", "vocab.txt": b"[PAD]\n", "README.md": b"words"}
    files["generation_config.json"] = b"{}"
    handler = type("ThisHub", (Hub,), {"files": files, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(*words, **environment):
        done = subprocess.run(
            [sys.executable, "-c", "from bigbird.cli import main; main()", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                **os.environ,
                "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
                "HF_HOME": str(tmp_path / "cache"),
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                **environment,
            },
        )
        return done.returncode, done.stderr

    yield run, handler, tmp_path
    server.shutdown()
    server.server_close()


def test_a_model_of_the_hub_is_downloaded_because_it_was_named(hub):
    run, handler, folder = hub
    code, said = run("convert", "owner/model", "big", "--max-length", "1024")
    assert code == 0, said
    assert huggingface.load_encoder(folder / "big").config.max_length == 1024
    fetched = {path.rpartition("/")[2] for path in handler.asked if "/resolve/" in path}
    assert fetched == {"config.json", "generation_config.json", "model.safetensors", "vocab.txt"}
    code, said = run("convert", "owner/model", "again", HF_HUB_OFFLINE="1")
    assert code == 0, said


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        ("owner/missing", {}, "the Hub has no such model, or a private one"),
        ("owner/gated", {}, "accept its terms on huggingface.co, then run hf auth login"),
        ("owner/model@none", {}, "it has no revision none"),
        ("owner/model@garbled", {}, "JSONDecodeError"),
        ("owner/model", {"HF_HUB_OFFLINE": "1"}, "the Hub cannot be reached (or HF_HUB_OFFLINE is set)"),
        ("owner/model", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "the Hub cannot be reached"),
    ],
)
def test_what_cannot_be_downloaded_is_told_in_one_line(hub, name, environment, message):
    code, said = hub[0]("convert", name, "big", **environment)
    assert code == 2, said
    assert message in said
    assert "hf download owner/" in said
    assert said.count("\n") == 1
    assert not (hub[2] / "big").exists()


def test_a_connection_that_breaks_is_told_in_one_line(hub):
    run, handler, folder = hub
    handler.is_cut = True
    code, said = run("convert", "owner/model", "big")
    assert code == 2, said
    assert "owner/model is no folder here and cannot be downloaded: " in said
    assert "Traceback" not in said
    assert not (folder / "big").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("google/bigbird-roberta-base", ("google/bigbird-roberta-base", None)),
        ("google/bigbird-roberta-base@v1", ("google/bigbird-roberta-base", "v1")),
        ("a/b@refs/pr/3", ("a/b", "refs/pr/3")),
        ("folder", None),
        ("./a/b", None),
        ("/a/b", None),
        ("a/b/c", None),
        ("../b", None),
        ("a/b@", None),
        ("a/b@../../c", None),
        ("a/b@x/..", None),
        ("here/b", None),
    ],
)
def test_what_counts_as_a_name_of_the_hub(tmp_path, monkeypatch, text, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()  # a folder of this name makes it a path, so that a mistyped one is asked of nobody
    assert hub_name(text) == name


def test_loaders_take_names_too_and_paths_never_download(tmp_path, monkeypatch):
    folder, asked = hub_folder(tmp_path / "model", "load_encoder"), []

    def download(name, *, pickles=False):
        asked.append((name.model, name.revision, pickles))
        return folder

    monkeypatch.setattr(hub_download, "download", download)
    monkeypatch.chdir(tmp_path)
    assert huggingface.load_encoder("owner/model@v2").config.max_length == 512
    assert asked == [("owner/model", "v2", False)]
    with pytest.raises(CheckpointError, match=r"is no folder"):
        huggingface.load_encoder(Path("owner/model"))
    assert len(asked) == 1
