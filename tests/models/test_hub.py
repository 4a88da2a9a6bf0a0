"""Folders of models, and a stand-in on this machine for the Hugging Face Hub."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone, create_model, list_models, random_clips
from pyg_stgcn.recognition import Recognizer
from pyg_stgcn.sparsity import sparsify

CLASSES = ["wave", "a|b", "c"]
STEPS = {"stream": "joint", "clip_frames": 8, "has_score": True, "num_persons": 2}


def make(name: str = "stgcn", **options: Any) -> Backbone:
    """A model of three classes whose statistics are those of a training."""
    model = create_model(name, 3, "coco17", **{"base_channels": 4, "num_stages": 2} | options)
    with torch.no_grad():
        model(*random_clips(model, 2, 2, 8))
    return model.eval()


def assert_same(model: torch.nn.Module, other: torch.nn.Module) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    given = random_clips(model, 2, 3, 8)
    with torch.no_grad():
        assert torch.equal(model(*given), other(*given))


@pytest.mark.parametrize("name", list_models())
def test_a_folder_and_back(name: str, tmp_path: Path) -> None:
    own = {"stgcn": {"adaptive": "init"}, "aagcn": {"attention": False}, "dgstgcn": {"ratio": 0.25}}
    options = {"in_channels": 2, "inflate_stages": (2,), "graph": "random", "person_slots": 3}
    model = make(name, **options, **own.get(name, {}))
    model.save_pretrained(tmp_path / "new" / "mine")
    assert sorted(file.name for file in (tmp_path / "new" / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert_same(model, type(model).from_pretrained(tmp_path / "new" / "mine"))
    assert load_file(tmp_path / "new" / "mine" / "model.safetensors").keys() >= {
        "head.linear.weight"
    }


def test_folders_from_before_there_were_shrunken_networks(tmp_path: Path) -> None:
    model = make()
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("shrunken") == [False]
    path.write_text(json.dumps(config))
    assert_same(model, Backbone.from_pretrained(tmp_path))
    path.write_text(json.dumps({**config, "shrunken": []}))
    with pytest.raises(InputError, match="describes no model"):
        Backbone.from_pretrained(tmp_path)


def test_an_assembly(tmp_path: Path) -> None:
    model = Assembly([make("stgcn"), make("stgcnpp")], learned_weights=True).eval()
    model.save_pretrained(tmp_path)
    assert_same(model, Assembly.from_pretrained(tmp_path))
    with pytest.raises(InputError, match=r"holds Assembly, not Backbone"):
        Backbone.from_pretrained(tmp_path)


def test_a_recogniser_from_a_folder(tmp_path: Path) -> None:
    model = make("stgcnpp")
    model.save_pretrained(
        tmp_path, classes=CLASSES, preprocessing=STEPS, results={"top-1 accuracy": 0.75}
    )
    clip = np.random.default_rng(0).uniform(50, 400, (1, 12, 17, 2))
    found, expected = (
        recognizer.predict(clip, image_size=(480, 640))
        for recognizer in (
            Recognizer.from_pretrained(tmp_path),
            Recognizer.from_model(model, CLASSES, STEPS),
        )
    )
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert found.label == expected.label
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    parameters = sum(value.numel() for value in model.parameters())
    for part in (
        "library_name: pyg-stgcn",
        f"| parameters | {parameters:,} |",
        "| zeros among the weights | 0.0 % |",
        f"| size of the weights | {(tmp_path / 'model.safetensors').stat().st_size:,} bytes |",
        "| top-1 accuracy | 0.75 |",
        "1. a\\|b",
    ):
        assert part in card
    model.save_pretrained(tmp_path, classes=CLASSES)
    with pytest.raises(InputError, match=r"does not say the preprocessing of the model"):
        Recognizer.from_pretrained(tmp_path)


def test_a_sparse_model(tmp_path: Path) -> None:
    model = make()
    controller = sparsify(model, 0.75, method="random")
    with pytest.raises(InputError, match=r"STGCN: has masks; finalize\(\) them first"):
        model.save_pretrained(tmp_path)
    controller.finalize()
    model.save_pretrained(tmp_path)
    assert_same(model, Backbone.from_pretrained(tmp_path))
    weights = [value for value in model.parameters() if value.dim() > 1]
    zeros = sum(int((value == 0).sum()) for value in weights) / sum(w.numel() for w in weights)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"| zeros among the weights | {100 * zeros:.1f} % |" in card


def test_folders_that_are_none(tmp_path: Path) -> None:
    folder = make().save_pretrained(tmp_path / "mine")
    config = json.loads((folder / "config.json").read_text())

    def assert_refused(message: str, **changes: Any) -> None:
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(InputError, match=message):
            Backbone.from_pretrained(folder)

    backbone = config["backbones"][0]
    assert_refused("num_classes is '3'", num_classes="3")
    assert_refused("describes no model", backbones=[backbone | {"name": "resnet"}])
    assert_refused("describes no model", backbones=[{}])
    assert_refused("describes no model", backbones=[])
    assert_refused("not those of the model", backbones=[backbone | {"base_channels": 8}])
    assert_refused("no model", backbones=[backbone | {"num_stages": 10**9}])
    assert_refused("skeleton", skeleton={"joints": []})
    with pytest.raises(InputError, match=r"classes: 2 names, the model has 3"):
        make().save_pretrained(tmp_path, classes=["one", "two"])
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json: there is no such file; name a folder of"):
        Backbone.from_pretrained(folder)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*: cannot be written"):
        make().save_pretrained(tmp_path / "file")


class Hub:
    """One repository, with as much of the hub's protocol as its client needs."""

    COMMIT = "0123456789" * 4

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.is_down = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                outer.answer(self)

            do_GET = do_POST = do_HEAD

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.tokens.add(request.headers.get("Authorization"))
        name = request.path.rpartition("/")[2]
        headers = {"X-Repo-Commit": self.COMMIT, "ETag": f'"{name}"'}
        status, found = 200, b"{}"
        if self.is_down or ("/resolve/" in request.path and name not in self.files):
            status = 404
        elif "/resolve/" in request.path:
            found = self.files[name]
        else:
            found = json.dumps(self._answer_api(request.path, body)).encode()
        request.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(found))}.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(found)

    def _answer_api(self, path: str, body: bytes) -> Any:
        if path.endswith("/create"):
            return {"url": f"{self.url}/user/mine", "name": "user/mine"}
        if "/preupload/" in path:
            asked = [entry["path"] for entry in json.loads(body)["files"]]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            return {"files": [{"path": name, **mode} for name in asked]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return {"commitOid": self.COMMIT, "commitUrl": f"{self.url}/user/mine/commit/1"}
        if "/revision/" in path or path.endswith("/api/models/user/mine"):
            siblings = [{"rfilename": name, "size": len(self.files[name])} for name in self.files]
            return {"id": "user/mine", "sha": self.COMMIT, "siblings": siblings, "tags": []}
        if "/tree/" in path:
            return [
                {"type": "file", "path": name, "size": len(self.files[name]), "oid": name}
                for name in self.files
            ]
        return {}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The client of the hub talks to a stand-in, and keeps what it fetches in a folder."""
    constants = pytest.importorskip("huggingface_hub.constants")
    hub = Hub()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield hub
    hub.stop()


def test_a_repository_and_back(hub: Hub) -> None:
    model = make("stgcnpp")
    address = model.push_to_hub(
        "user/mine", classes=CLASSES, preprocessing=STEPS, token="hf_secret", private=True
    )
    assert address == f"{hub.url}/user/mine/commit/1"
    assert hub.files.keys() == {"README.md", "config.json", "model.safetensors"}
    assert "Bearer hf_secret" in hub.tokens
    hub.files["pytorch_model.bin"] = b"never fetched"
    assert_same(model, Backbone.from_pretrained("user/mine", token=False))
    assert Recognizer.from_pretrained("user/mine", token=False).classes == CLASSES


def test_no_repository(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.is_down = True
    with pytest.raises(InputError, match=r"^user/mine: is no folder, and cannot be fetched from"):
        Backbone.from_pretrained("user/mine", token=False)
    with pytest.raises(InputError, match=r"^user/mine: cannot be uploaded .*'hf auth login'"):
        make().push_to_hub("user/mine", token="hf_secret")
    with pytest.raises(InputError, match=r"^no/such/folder: is no folder, and cannot be fetched"):
        Backbone.from_pretrained("no/such/folder")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r'user/mine: .* pip install "pyg-stgcn\[hub\]"'):
        Backbone.from_pretrained("user/mine")
