from __future__ import annotations

import io
import os
import random
import resource
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO, read_checkpoint, read_trained_state
from pyg_stgcn.sparsity import METHODS, fold_state_dict, sparsify


def test_round_trip_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    for step in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"step": step, "w": torch.arange(3)}, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert loaded["step"] == 2 and torch.equal(loaded["w"], torch.arange(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files with setrlimit")
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, children: Any) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    before = path.read_bytes()

    def write() -> object:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        writer = AtomicCheckpointIO({path: path.with_name("previous.ckpt")})
        try:
            writer.save_checkpoint({"w": torch.zeros(100_000)}, path)
        except OSError as error:
            return error.filename
        return "written"

    children.start(write)
    assert children.result() == str(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_checkpoint_before_is_kept(tmp_path: Path) -> None:
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    writer = AtomicCheckpointIO({last: previous})
    for step in (1, 2, 3):
        writer.save_checkpoint({"step": step}, last)
        writer.save_checkpoint({"step": step}, tmp_path / "best.ckpt")
    steps = {path.name: read_checkpoint(path, "")["step"] for path in tmp_path.iterdir()}
    assert steps == {"last.ckpt": 3, "previous.ckpt": 2, "best.ckpt": 3}


def test_a_checkpoint_is_still_what_torch_and_zip_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"w": torch.arange(3)}, path)
    assert torch.load(path, weights_only=True)["w"].tolist() == [0, 1, 2]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"pyg-stgcn sha256 ")


def test_every_changed_bit_and_every_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    state = {"state_dict": {"model.w": torch.randn(8, 8)}, "epoch": 3}
    AtomicCheckpointIO().save_checkpoint(state, path)
    content = path.read_bytes()
    bits = random.Random(0)
    # Anywhere, and every byte of the end, where the checksum stands.
    places = [bits.randrange(len(content)) for _ in range(300)]
    places += range(len(content) - 120, len(content))
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << bits.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"last\.ckpt: damaged, its checksum differs; do this"):
            read_checkpoint(path, "do this")
    for length in (
        *bits.sample(range(len(content)), 100),
        *range(len(content) - 120, len(content)),
    ):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match="damaged"):
            read_checkpoint(path, "do this")


def test_checkpoints_without_a_checksum(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"epoch": 3}, path)
    assert read_checkpoint(path, "")["epoch"] == 3
    assert f"{path}: has no checksum" in caplog.text
    for content in ([1, 2], Path("/")):
        torch.save(content, path)
        with pytest.raises(InputError, match=r"no checkpoint of a run.*do this"):
            read_checkpoint(path, "do this")
    nothing = io.BytesIO()
    with zipfile.ZipFile(nothing, "w") as archive:
        archive.writestr("x/data.pkl", b"no pickle")
    path.write_bytes(nothing.getvalue())
    with pytest.raises(InputError, match=r"no checkpoint of a run.*do this"):
        read_checkpoint(path, "do this")
    with pytest.raises(InputError, match=r"nowhere\.ckpt: cannot be read.*do this"):
        read_checkpoint(tmp_path / "nowhere.ckpt", "do this")
    os.mkfifo(tmp_path / "pipe.ckpt")
    with pytest.raises(InputError, match=r"pipe\.ckpt: is a pipe"):
        read_checkpoint(tmp_path / "pipe.ckpt", "do this")


def test_checkpoints_of_others_are_taken_with_care(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    deep = b"\x80\x02}K\x01" + b"\x85" * 300_000 + b"K\x01s."
    for content, message in (
        (deep, "nested more than 100 levels deep"),
        (b"\x80\x02r\x01", r"no checkpoint of a run \("),
        (b"\x80\x02cos\nsystem\nX\x01\0\0\0a\x85R.", r"\(Trying to load .*os\.system"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", content)
            archive.writestr("x/version", "3\n")
        with pytest.raises(InputError, match=rf"^{path}: .*{message}.*; do this") as error:
            read_checkpoint(path, "do this")
        assert "weights_only" not in str(error.value)
    torch.save({"state_dict": {"model.x": torch.ones(1).expand(3 * 10**9)}}, path)
    with pytest.raises(InputError, match="a tensor of 12000000000 bytes with 4 in the file"):
        read_checkpoint(path, "do this")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    weights = torch.tensor([1.0, torch.inf, torch.nan])
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"model.norm.w": weights}}, path)
    with pytest.raises(InputError, match=r"norm\.w \(2 of 3 values, the first is inf\).*do this"):
        read_trained_state(path, "do this")
    AtomicCheckpointIO().save_checkpoint({"weights": weights}, path)
    with pytest.raises(InputError, match="no 'state_dict'; do this"):
        read_trained_state(path, "do this")


@pytest.mark.parametrize("method", METHODS)
def test_masks_of_a_state_dict_are_folded_as_those_of_a_module(method: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(9, 7), torch.nn.BatchNorm1d(7))
    controller = sparsify(model, 0.6, method=method)
    controller.step()
    weights, masks = fold_state_dict(model.state_dict())
    expected_masks = {entry.name: entry.mask.clone() for entry in controller.masked}
    expected = controller.finalize().state_dict()
    assert weights.keys() == expected.keys() and masks.keys() == expected_masks.keys()
    assert all(weights[name].equal(expected[name]) for name in expected)
    assert all(masks[name].equal(expected_masks[name]) for name in masks)
    assert fold_state_dict(expected) == (expected, {})
