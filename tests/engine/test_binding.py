"""The Python interface of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_stgcn.engine import Engine, load
from pyg_stgcn.engine import library as binding
from pyg_stgcn.errors import InputError
from tests.engine.small_engines import CLIP, JOINTS, poses, prepared


class Refusing:
    """Makes no array of itself, as tensors of another device do."""

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        raise RuntimeError("it is elsewhere")


#: What no function reads as an array of joints.
NO_JOINTS = {
    "None": None,
    "a text": "abc",
    "a number": 3.5,
    "nothing": [],
    "ragged": [[1, 2], [3]],
    "objects": np.array([[None] * 3] * JOINTS),
    "truth values": np.zeros((JOINTS, 3), bool),
    "complex numbers": np.zeros((JOINTS, 3), complex),
    "texts": np.zeros((JOINTS, 3), "U3"),
    "times": np.zeros((JOINTS, 3), "M8[s]"),
    "large numbers": [[10**400] * 3] * JOINTS,
    "a gradient": torch.zeros(CLIP, JOINTS, 3, requires_grad=True),
    "sparse": torch.zeros(JOINTS, 3).to_sparse(),
    "elsewhere": Refusing(),
    "other joints": np.zeros((CLIP, JOINTS + 1, 3)),
    "one axis": np.zeros(3 * JOINTS),
    "five channels": np.zeros((CLIP, JOINTS, 5)),
    "five axes": np.zeros((1, 1, CLIP, JOINTS, 3)),
    "not a number": np.full((1, JOINTS, 3), np.nan),
    "infinite": np.full((1, JOINTS, 3), 1e300),
}


def test_the_import_needs_numpy_only() -> None:
    """A process in which nothing else can be imported has the interface."""
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.split('.')[0]\n"
        "        if top not in {*sys.stdlib_module_names, 'numpy', 'pyg_stgcn'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from pyg_stgcn.engine import Engine, EngineStream, load\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_library_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_FOLDER", tmp_path)
    binding.library.cache_clear()
    with pytest.raises(InputError, match=r"library of the engine is missing.*install pyg-stgcn"):
        load(Path(__file__))
    (tmp_path / "_stgcn.so").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"_stgcn.so: cannot be loaded.*install pyg-stgcn"):
        load(Path(__file__))
    monkeypatch.undo()
    binding.library.cache_clear()


@pytest.mark.parametrize("values", NO_JOINTS.values(), ids=NO_JOINTS.keys())
def test_no_joints(engines: dict[str, Engine], values: Any) -> None:
    """Every function that reads joints names what it was given."""
    for engine, size in ((engines["space"], None), (engines["plane"], (240, 320))):
        given = {"image_size": size}
        with pytest.raises(InputError, match=r"poses: |NaN"):
            engine.classify(values, **given)
        with pytest.raises(InputError, match=r"poses: |NaN"):
            engine.predict(values, **given)
        with engine.stream(**given) as stream, pytest.raises(InputError, match=r"frames: |NaN"):
            stream.push(values)
    for engine in (engines["space"], engines["sliding"]):
        with engine.stream() as stream, pytest.raises(InputError, match="x: "):
            stream.push_prepared(values)
        with pytest.raises(InputError, match="features: "):
            engine.classify_features(values)
    # As in the models, a spoilt clip has spoilt logits; here the axes are others.
    for function in (engines["space"].logits, engines["space"].features):
        with pytest.raises(InputError, match="x: "):
            function(values)
    with pytest.raises(InputError, match="batch: "):
        engines["space"].logits(prepared(), [] if values is None else values)


@pytest.mark.parametrize(
    ("batch", "num_clips", "message"),
    [
        (np.zeros(JOINTS), None, "type float64"),
        (np.zeros(JOINTS - 1, int), None, r"shape \(16,\)"),
        (np.zeros((JOINTS, 1), int), None, r"shape \(17, 1\)"),
        (-np.ones(JOINTS, int), None, "clip -1"),
        (np.arange(JOINTS), None, "ascend"),
        (np.full(JOINTS, 2**64 - 1, np.uint64), None, "clip 18446744073709551615"),
        (np.full(JOINTS, 10**10), None, "clip 10000000000"),
        (np.zeros(JOINTS, int), 0, "below 0"),
        (None, -1, "num_clips: -1"),
        (None, 10**12, "num_clips: 1000000000000"),
        (None, 1.0, r"num_clips: 1\.0"),
        (None, True, "num_clips: True"),
        (None, "1", "num_clips: '1'"),
        (None, [1], "num_clips: "),
    ],
)
def test_no_clips(engines: dict[str, Engine], batch: Any, num_clips: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        engines["space"].logits(prepared(), batch, num_clips)


@pytest.mark.parametrize(
    "number", [0, -1, 10**30, 2.0, np.float32(2), True, "2", [2], float("nan")]
)
def test_no_counts(engines: dict[str, Engine], contents: dict[str, bytes], number: Any) -> None:
    engine = engines["space"]
    calls: dict[str, Callable[[], object]] = {
        "num_views": lambda: engine.classify(poses(), num_views=number),
        "window": lambda: engine.stream(number),
        "hop": lambda: engines["sliding"].stream(hop=number),
        "threads": lambda: Engine.from_bytes(contents["space"], number),
    }
    for name, call in calls.items():
        with pytest.raises(InputError, match=f"^{name}: "):
            call()


@pytest.mark.parametrize(
    "size",
    [None, 240, (240,), (1, 2, 3), (0, 1), (-1, 1), (np.nan, 1), (np.inf, 1), (1e300, 1)]
    + [(10**400, 1), "12", b"12", ("240", "320"), (None, 1), [[240], [320]], {240: 1, 320: 2}],
)
def test_no_size_of_an_image(engines: dict[str, Engine], size: Any) -> None:
    with pytest.raises(InputError, match=r"image_size: .*give image_size=\(height, width\)"):
        engines["plane"].classify(poses(), size)
    with pytest.raises(InputError, match=r"image_size: .*give image_size=\(height, width\)"):
        engines["plane"].stream(image_size=size)
    if size is not None:
        with pytest.raises(InputError, match=r"image_size: .*leave it out"):
            engines["space"].classify(poses(), size)


@pytest.mark.parametrize("content", [None, "abc", 5, -1, [1], 10**30, np.zeros(2, "M8[s]")])
def test_no_content(contents: dict[str, bytes], content: Any) -> None:
    with pytest.raises(InputError, match=r"content: .* is not bytes; give"):
        Engine.from_bytes(content)
    for kind in (bytearray, memoryview):
        Engine.from_bytes(kind(contents["space"])).close()


@pytest.mark.parametrize("path", [None, 5, ["a"], Engine, "x" * 5000, "a\0b", "", "/dev/null"])
def test_no_path(path: Any) -> None:
    with pytest.raises(InputError, match=r"; |name a"):
        load(path)


def test_names_of_files_may_be_bytes(contents: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "Größe.stgcn"
    path.write_bytes(contents["space"])
    for name in (path, str(path), os.fsencode(path)):
        load(name).close()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(">f4"),
        lambda x: np.ndarray(x.shape, x.dtype, b"\0" + x.tobytes(), offset=1),  # at an odd address
        np.asfortranarray,
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.broadcast_to(x, (1, *x.shape)),
        lambda x: x.tolist(),
        torch.from_numpy,
        np.ma.masked_array,
    ],
)
def test_other_layouts_of_an_array_change_nothing(
    engines: dict[str, Engine], change: Callable[[NDArray[Any]], Any]
) -> None:
    x = poses()
    engine, given = engines["space"], change(x)
    assert np.array_equal(engine.classify(given), engine.classify(x))
    answers = []
    for frames in (x, given):
        with engine.stream() as stream:
            stream.push(frames if np.ndim(frames) == 3 else frames[0])
            answers.append(stream.finish())
    assert np.array_equal(*answers)
