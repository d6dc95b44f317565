"""Models on the Hub: uploaded and downloaded through huggingface_hub, against a stand-in server on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mien.card import ModelCard
from mien.errors import DataError, ModelError
from mien.workflows.model_hub import Address, parse_address, pull_model, push_model, write_readme
from tests.builders.models import CARD, make_onnx
from tests.helpers.command import is_one_sentence, mien_process

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """The part of the Hub's protocol that uploading and downloading small files needs."""

    files: dict[str, bytes]

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: int, document: object = None, headers: dict[str, str] | None = None) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document or {}).encode()
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(data)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        """Send the headers of a file."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a file."""
        name = self.path.split("?")[0].rpartition("/")[2]
        if "/resolve/" in self.path and name in self.files:
            etag = hashlib.sha256(self.files[name]).hexdigest()
            self._answer(200, self.files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        elif "/api/" in self.path:
            self._answer(200, {"id": "me/faces", "sha": COMMIT, "siblings": []})
        else:
            self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})

    def do_POST(self) -> None:
        """Create a repository, choose the upload mode, or accept a commit."""
        body = self._body()
        if self.path.endswith("/api/repos/create"):
            self._answer(200, {"url": f"http://{self.headers['Host']}/me/faces", "name": "me/faces"})
        elif "/preupload/" in self.path:
            named = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": named})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            url = f"http://{self.headers['Host']}/me/faces/commit/{COMMIT}"
            self._answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
        else:
            self._answer(200)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    constants = pytest.importorskip("huggingface_hub.constants")
    handler = type("OwnHub", (Hub,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    yield handler
    server.shutdown()
    server.server_close()


def test_a_pushed_model_is_pulled_unchanged(hub: type[Hub], tmp_path: Path) -> None:
    model = make_onnx(tmp_path / "m.onnx")
    assert push_model(model, "hf://me/faces").endswith("/me/faces")
    assert set(hub.files) == {"model.onnx", "card.json", "README.md", "SHA256SUMS"}
    assert hub.files["README.md"].decode() == write_readme(CARD)
    path = pull_model("hf://me/faces", tmp_path / "here")
    assert path.read_bytes() == model.read_bytes()
    assert ModelCard.from_json((tmp_path / "here" / "card.json").read_text()) == CARD


@pytest.mark.slow
def test_model_with_a_wrong_checksum_is_refused(hub: type[Hub], tmp_path: Path) -> None:
    push_model(make_onnx(tmp_path / "m.onnx"), "hf://me/faces")
    hub.files["model.onnx"] += b"\0"
    with pytest.raises(
        ModelError, match=r"expected model\.onnx with the SHA-256 .* damaged, or the file was replaced"
    ):
        pull_model("hf://me/faces", tmp_path / "here")
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
def test_existing_files_are_replaced_only_with_force(hub: type[Hub], tmp_path: Path) -> None:
    push_model(make_onnx(tmp_path / "m.onnx"), "hf://me/faces")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "model.onnx").write_text("mine")
    with pytest.raises(DataError, match=r"model\.onnx"):
        pull_model("hf://me/faces", tmp_path / "here")
    assert (tmp_path / "here" / "model.onnx").read_text() == "mine"
    pull_model("hf://me/faces", tmp_path / "here", force=True)


@pytest.mark.slow
def test_missing_repository_and_offline_machine_are_reported(
    hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ModelError, match=r"hf://me/none: .*no such repository or .* lacks model\.onnx or SHA256"
    ):
        pull_model("hf://me/none", tmp_path / "here")
    from huggingface_hub import constants

    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:1/{repo_id}/{revision}/{filename}",
    )
    with pytest.raises(ModelError, match="Check the network connection"):
        pull_model("hf://me/faces", tmp_path / "here")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("pull", "hf://me/faces"), ("push", "model.onnx", "hf://me/faces")])
def test_offline_push_and_pull_print_one_error_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    pytest.importorskip("huggingface_hub")
    make_onnx(tmp_path / "model.onnx")
    offline = {"HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_x"}
    done = mien_process(*command, cwd=tmp_path, **offline)
    is_one_sentence(done, r"hf://me/faces: cannot .* the Hub: .*Check the network connection\.")


@pytest.mark.slow
def test_hub_retry_messages_are_not_logged(
    hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub import utils

    monkeypatch.setattr("time.sleep", lambda _: None)
    push_model(make_onnx(tmp_path / "m.onnx"), "hf://me/faces")
    failures = iter([503] * 5)
    asked = hub.do_HEAD

    def sometimes(self: Hub) -> None:
        status = next(failures, 200)
        asked(self) if status == 200 else self._answer(status)

    monkeypatch.setattr(hub, "do_HEAD", sometimes)
    level = utils.logging.get_verbosity()
    assert pull_model("hf://me/faces", tmp_path / "here").is_file()
    assert [record.getMessage() for record in caplog.records if "huggingface" in record.name] == []
    assert next(failures, None) is None  # all failures were used
    assert utils.logging.get_verbosity() == level


@pytest.mark.parametrize(
    "address",
    ["me/faces", "hf://faces", "hf://a/b/c", "https://x", "hf://a/b@", "hf://me/..", "hf://../me", ""],
)
def test_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(ModelError, match="an address such as hf://user/model"):
        parse_address(address)
    assert parse_address("hf://me/faces@v1") == Address("me/faces", "v1")


def test_a_model_without_a_card_is_not_uploaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no model card"):
        push_model(make_onnx(tmp_path / "m.onnx", None), "hf://me/faces")
