"""The exported folder: built where there is a compiler, and run on other machines under QEMU."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_stgcn.engine import load
from pyg_stgcn.engine.library import library
from pyg_stgcn.models import create_model
from pyg_stgcn.recognition import Recognizer, save_engine_folder
from tests.reference.small_models import varied

pytestmark = pytest.mark.usefixtures("built")

CLASSES = ["wave", "Größe", "walk"]
IMAGE = (240, 320)
CROSS = "aarch64-linux-gnu"


class Exported:
    """A folder, the model that it was made of, and a clip in a file beside it."""

    def __init__(self, folder: Path, skeleton: str, shape: tuple[int, ...], planar: bool) -> None:
        torch.manual_seed(3)
        self.model = model = varied(
            create_model("stgcn", 3, skeleton, base_channels=8, num_stages=2)
        )
        with torch.no_grad():
            model.head.linear.weight.mul_(20)
        steps = {"stream": "joint", "clip_frames": 12, "has_score": planar}
        self.path = save_engine_folder(folder, model, CLASSES, steps, 1.3)
        self.recognizer = Recognizer.from_model(model, CLASSES, steps, temperature=1.3)
        self.clip = torch.rand(shape).numpy() * (200 if planar else 1)
        self.options: dict[str, Any] = {"image_size": IMAGE} if planar else {}
        self.file = folder.with_suffix(".npy")
        np.save(self.file, self.clip.astype(np.float64) if planar else self.clip)

    @property
    def words(self) -> list[str]:
        size = ["--image-size", "{}x{}".format(*IMAGE)] if self.options else []
        return [str(self.path), str(self.file), *size]

    def expected(self, **options: Any) -> NDArray[np.float32]:
        return self.recognizer.predict(self.clip, **self.options, **options).probabilities


@pytest.fixture(scope="module")
def planar(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("planar") / "mine", "coco17", (30, 17, 2), True)


@pytest.fixture(scope="module")
def spatial(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("spatial") / "mine", "ntu25", (2, 30, 25, 3), False)


@pytest.fixture(scope="module")
def example(spatial: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in C with the library of this package."""
    compiler, folder = shutil.which("gcc"), spatial.path.parent
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs gcc and Linux")
    program = tmp_path_factory.mktemp("example") / "example"
    words = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{folder}/include", "-o", program]
    words += [folder / "example.c", library().path, f"-Wl,-rpath,{library().path.parent}", "-lm"]
    subprocess.run([compiler, *map(str, words)], check=True)
    return program


def call(*words: object) -> str:
    return subprocess.run(
        [str(word) for word in words], check=True, capture_output=True, encoding="utf-8"
    ).stdout


def probabilities(output: str) -> list[float]:
    found = {name: float(value) for value, name in re.findall(r"^([\d.]+)  (.*)$", output, re.M)}
    return [found[name] for name in CLASSES]


def test_the_example_in_c(example: Path, spatial: Exported, planar: Exported) -> None:
    for one in (spatial, planar):
        found = probabilities(call(example, *one.words, "--views", 3))
        np.testing.assert_allclose(found, one.expected(num_views=3), atol=2e-6)
    lines = call(example, *spatial.words, "--stream", "--window", 40).splitlines()
    assert [line.split()[:3] for line in lines if " end " in line] == [
        ["person", str(person), "end"] for person in (0, 1)
    ]
    for person, line in enumerate(line for line in lines if " end " in line):
        with load(spatial.path).stream(window=40) as stream:
            stream.push(spatial.clip[person])
            expected = stream.finish()
        assert expected is not None
        assert line.endswith(f"{expected.max():.6f}  {CLASSES[expected.argmax()]}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "is not an array"),
        (np.zeros((2, 25, 3), np.int32), "neither float32 nor float64"),
        (np.zeros((25, 3), np.float32), "less than three axes"),
        (np.zeros((2, 24, 3), np.float32), "other joints"),
        (np.full((2, 25, 3), np.nan, np.float32), "NaN"),
    ],
)
def test_the_example_refuses_other_arrays(
    example: Path, spatial: Exported, tmp_path: Path, content: Any, message: str
) -> None:
    clip = tmp_path / "clip.npy"
    if isinstance(content, bytes):
        clip.write_bytes(content)
    else:
        np.save(clip, content)
    words = [str(example), str(spatial.path), str(clip)]
    found = subprocess.run(words, capture_output=True, text=True)
    assert found.returncode == 1 and message in found.stderr


def test_the_example_in_python(spatial: Exported, planar: Exported) -> None:
    for one in (spatial, planar):
        build = one.path.parent / "build"
        build.mkdir(exist_ok=True)
        shutil.copy(library().path, build / "libstgcn.so")
        found = probabilities(call(sys.executable, one.path.with_name("example.py"), *one.words))
        np.testing.assert_allclose(found, one.expected(), atol=2e-6)


def test_the_folder_is_built_with_cmake(
    spatial: Exported, planar: Exported, tmp_path: Path
) -> None:
    """For another machine, if there is a compiler for it and QEMU."""
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        pytest.skip("needs cmake and a C++ compiler")
    words, emulator = [], []
    if shutil.which(f"{CROSS}-g++") and shutil.which("qemu-aarch64"):
        words = [f"-DCMAKE_C_COMPILER={CROSS}-gcc", f"-DCMAKE_CXX_COMPILER={CROSS}-g++"]
        words += ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
        emulator = ["qemu-aarch64", "-L", f"/usr/{CROSS}"]
    # Debug: optimised kernels take three times as long to compile.
    words += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-g0"]
    call("cmake", "-S", spatial.path.parent, "-B", tmp_path, *words)
    call("cmake", "--build", tmp_path, "-j2")
    for one in (spatial, planar):
        found = probabilities(call(*emulator, tmp_path / "example", *one.words))
        np.testing.assert_allclose(found, one.expected(), atol=1e-5)


def test_both_builds_have_the_same_effort(spatial: Exported) -> None:
    """Files that are compiled for size by setup.py are so with CMake."""
    cmake = spatial.path.with_name("CMakeLists.txt").read_text(encoding="utf-8")
    setup = Path(__file__).parents[2].joinpath("setup.py").read_text(encoding="utf-8")
    named = re.search(r"foreach\(name (.*)\)", cmake)
    opening = re.search(r"^OPENING = (\{.*\})$", setup, re.M)
    assert named and opening
    assert {*named[1].split()} == ast.literal_eval(opening[1])
    for name in named[1].split():
        assert spatial.path.with_name("src").joinpath(f"{name}.cpp").is_file()


def test_recognizer_reads_file_and_folder(spatial: Exported, planar: Exported) -> None:
    for one in (spatial, planar):
        recognizer = Recognizer.load(one.path)
        assert recognizer.about == one.recognizer.about
        found = recognizer.predict(one.clip, num_views=3, **one.options)
        np.testing.assert_allclose(found.probabilities, one.expected(num_views=3), atol=1e-6)
        with load(one.path.parent) as engine:
            raw = engine.classify(one.clip, num_views=3, **one.options)
        np.testing.assert_allclose(raw, found.probabilities, atol=1e-6)


def test_an_interrupted_export_leaves_the_earlier_one(
    planar: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(planar.path.parent, folder)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.suffix != ".old" and target == folder:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    steps = {"stream": "joint", "clip_frames": 12, "has_score": True}
    with pytest.raises(KeyboardInterrupt):
        save_engine_folder(folder, planar.model, CLASSES, steps)
    assert (folder / "model.stgcn").read_bytes() == planar.path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]
