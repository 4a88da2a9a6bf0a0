"""Preprocessing in C++ equals that in Python."""

from __future__ import annotations

import ctypes
import json
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.datasets.readers.ntu_file import parse_recording
from pyg_stgcn.datasets.readers.ntu_persons import all_bodies
from pyg_stgcn.recognition.input_section import input_section, input_statistics
from pyg_stgcn.recognition.prepare import STREAMS, ClipError, prepare, sample_frames
from pyg_stgcn.skeletons import get_skeleton, list_skeletons
from pyg_stgcn.skeletons.trunk import trunk_joints

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
IMAGE = (480, 640)
ALL_STREAMS = (*STREAMS, "joint+bone", "bone-motion+joint")
MESSAGE = 512

Array = NDArray[Any]


class Parts:
    """The preprocessing of the engine for one description."""

    def __init__(self, library: ctypes.CDLL, about: dict[str, Any], image: Any = None) -> None:
        self.library, section = library, input_section(about)
        streams = section["streams"]
        channels = len(streams) * (2 if section["planar"] and not section["scored"] else 3)
        self.shape = (len(about["skeleton"]["joints"]), section["frames"], channels)
        flags = ("planar", "scored", "fractions", "scale", "align", "root")
        numbers = [self.shape[0], channels, *(section[k] for k in ("frames", "persons", "seed"))]
        numbers += [section[name] for name in flags]
        numbers += [len(streams), *(STREAMS.index(stream) for stream in streams)]
        for name in ("trunk", "spine", "shoulders", "bones", "parents"):
            numbers += [len(section[name]), *section[name]]
        self.statistics = input_statistics(about) or (None, None)
        self.size = image or (0, 0)
        self.message = ctypes.create_string_buffer(MESSAGE)
        self.handle = library.parts_open(
            address(np.array(numbers, np.int64)),
            ctypes.c_float(section["score_threshold"]),
            *(None if part is None else address(part) for part in self.statistics),
            *map(ctypes.c_float, self.size),
            self.message,
            ctypes.c_size_t(MESSAGE),
        )
        if not self.handle:
            raise ClipError(self.message.value.decode())

    def close(self) -> None:
        self.library.parts_close(ctypes.c_void_p(self.handle))

    def result(self, name: str, *arguments: Any) -> int:
        call, size = getattr(self.library, name), ctypes.c_size_t(MESSAGE)
        result = int(call(ctypes.c_void_p(self.handle), *arguments, self.message, size))
        if result < 0:
            raise ClipError(self.message.value.decode())
        return result

    def clip(self, clip: Array, views: int) -> Array:
        clip = np.ascontiguousarray(clip, np.float32)
        persons, frames, _, channels = clip.shape
        sizes = (ctypes.c_int64(persons), ctypes.c_int64(frames), channels)
        found = self.result(
            "parts_clip", address(clip), *sizes, *map(ctypes.c_float, self.size), views
        )
        x = np.full((views, found, *self.shape), np.nan, np.float32)
        for view, person in np.ndindex(views, found):
            place = (ctypes.c_int64(person), ctypes.c_int64(view), address(x[view, person]))
            self.library.parts_fill(ctypes.c_void_p(self.handle), *place)
        return x.reshape(-1, *self.shape[1:])

    def stream(self, frames: Array) -> Array:
        """The prepared frames ``[T, V, C]``."""
        x, made = np.zeros((self.shape[0], self.shape[2]), np.float32), []
        for frame in np.ascontiguousarray(frames, np.float32):
            if self.result("parts_push", address(frame), frame.shape[1], address(x)):
                made.append(x.copy())
        if self.result("parts_finish", address(x)):
            made.append(x)
        return np.array(made)


def address(array: Array) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    sources = REPOSITORY / "pyg_stgcn/engine/src"
    names = [
        "presence",
        "placing",
        "normalize",
        "prepare",
        "sample",
        "refusals",
        "input_check",
        "causal",
        "file",
        "json",
        "memory",
    ]
    path = tmp_path_factory.mktemp("parts") / "parts.so"
    files = [Path(__file__).with_name("prepare_parts.cpp"), *(sources / f"{n}.cpp" for n in names)]
    flags = ["-std=c++17", "-O0", "-shared", "-fPIC", f"-I{sources}"]
    subprocess.run([compiler, *flags, *map(str, files), "-o", str(path)], check=True)
    loaded = ctypes.CDLL(str(path))
    loaded.parts_open.restype = ctypes.c_void_p
    loaded.parts_clip.restype = ctypes.c_int64
    yield loaded


def about_of(skeleton: str, **options: Any) -> dict[str, Any]:
    steps = {"stream": "joint", "clip_frames": 12, "has_score": False, **options}
    return {"skeleton": get_skeleton(skeleton).to_dict(), "preprocessing": steps}


def random_options(rng: np.random.Generator, planar: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"stream": str(rng.choice(ALL_STREAMS)), "has_score": planar}
    options["scale"] = bool(rng.random() < 0.5)
    options["num_persons"] = int(rng.integers(1, 4)) if rng.random() < 0.5 else None
    options["align_spine"] = False if rng.random() < 0.3 else None
    if planar:
        options["use_score"] = bool(rng.random() < 0.5)
        options["fractions"] = bool(rng.random() < 0.5)
    return options


def random_clip(rng: np.random.Generator, joints: int, planar: bool) -> Array:
    """Persons, frames and joints are missing; some persons are relative to a joint."""
    persons, frames = int(rng.integers(1, 4)), int(rng.choice([1, 5, 11, 12, 13, 23, 24, 60]))
    x = rng.normal(size=(persons, frames, joints, 3)).cumsum(1) * 0.1
    x += rng.normal(size=(persons, 1, joints, 3))
    if planar:
        x[..., :2] = x[..., :2] * 100 + 400
        x[..., 2] = rng.choice([0, 0.005, 0.3, 1], size=x.shape[:3])
    elif rng.random() < 0.5:
        x -= x[:, : 1 if rng.random() < 0.5 else frames, rng.integers(0, joints), None]
    for shape in ((persons, frames), (persons, frames, joints), (persons,)):
        if rng.random() < 0.5:
            x[rng.random(shape) < 0.2] = 0
    if not planar and rng.random() < 0.3:
        x = np.concatenate([x, rng.random((*x.shape[:3], 1)) < 0.8], axis=-1)
    return np.asarray(x[..., :2] if planar and rng.random() < 0.2 else x, np.float32)


def check_equal(library: ctypes.CDLL, about: Any, clip: Array, views: int, image: Any) -> None:
    parts = Parts(library, about, image)
    try:
        expected, _ = prepare(clip, about, num_views=views, image_size=image)
        got = parts.clip(clip, views)
        assert got.shape == expected.shape
        # The same operations in the same order; the product of two rotations may be rounded apart.
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
        assert (got != expected).sum() <= 0.02 * got.size
    finally:
        parts.close()


def test_frames_are_those_of_numpy(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(0)
    for _ in range(1500):
        length, views = int(rng.choice([1, 2, 12, 48, 100])), int(rng.integers(1, 8))
        frames = int(rng.integers(1, rng.choice([4, 3 * length + 2, 10**6]) + 1))
        seed = int(rng.choice([0, 255, 2**32 - 1, rng.integers(2**32)]))
        found = np.zeros(views * length, np.int64)
        sizes = map(ctypes.c_int64, (frames, length, views))
        library.parts_sample(*sizes, ctypes.c_uint32(seed), address(found))
        np.testing.assert_array_equal(found, sample_frames(frames, length, views, seed))


@pytest.mark.parametrize("planar", [False, True])
def test_random_clips(library: ctypes.CDLL, planar: bool) -> None:
    rng = np.random.default_rng(planar)
    for name in 12 * list_skeletons():
        clip = random_clip(rng, get_skeleton(name).num_joints, planar)
        about = about_of(name, **random_options(rng, planar))
        check_equal(library, about, clip, int(rng.integers(1, 4)), IMAGE if planar else None)


def genuine_clips() -> Iterator[tuple[str, Array, tuple[int, int] | None]]:
    for name, path in (("kinect20", "utd_mhad/utd_mhad_reference.pkl"), ("sbu15", "sbu/sbu.pkl")):
        found = pickle.loads((DATA / path).read_bytes())["annotations"][::40]
        yield from ((name, np.asarray(item["keypoint"]), None) for item in found)
    for item in pickle.loads((DATA / "pyskl/mini_ucf101.pkl").read_bytes())["annotations"]:
        joined = [item["keypoint"], item["keypoint_score"][..., None]]
        yield "coco17", np.concatenate(joined, axis=-1), item["img_shape"]
    for path in sorted((DATA / "ntu_raw").glob("*.skeleton")):
        recording = parse_recording(path.read_bytes(), path.name)
        yield "ntu25", all_bodies(recording, path.name), None
    for path in sorted((DATA / "kinetics_skeleton").glob("*.json")):
        frames = json.loads(path.read_text())["data"]
        clip = np.zeros((7, len(frames), 18, 3), np.float32)
        for number, frame in enumerate(frames):
            for person, body in enumerate(frame["skeleton"][:7]):
                clip[person, number, :, :2] = np.reshape(body["pose"], (18, 2)) * (640, 480)
                clip[person, number, :, 2] = body["score"]
        yield "openpose18", clip, IMAGE


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data sets in ../shared/data")
def test_genuine_clips(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(2)
    for name, clip, image in genuine_clips():
        for _ in range(3):
            options = {**random_options(rng, image is not None), "clip_frames": 48}
            check_equal(library, about_of(name, **options), clip, 2, image)


def check_stream(library: ctypes.CDLL, name: str, x: Array, options: dict[str, Any]) -> None:
    """The input of a stream is that of the clip."""
    x = x.astype(np.float32)
    shown = len(x) if options["has_score"] else int(x.any((1, 2)).sum())
    fixed = {"clip_frames": shown, "scale": False, "num_persons": None}
    about, image = about_of(name, **{**options, **fixed}), IMAGE if options["has_score"] else None
    expected, _ = prepare(x, about, image_size=image)
    parts = Parts(library, about, image)
    made = parts.stream(x)
    parts.close()
    np.testing.assert_allclose(made.transpose(1, 0, 2), expected, rtol=1e-6, atol=1e-6)


def random_walk(rng: np.random.Generator, joints: int) -> Array:
    frames = int(rng.integers(1, 20))
    return rng.normal(size=(frames, joints, 3)).cumsum(0) * 0.1 + rng.normal(size=(joints, 3))


def test_a_stream_in_the_plane_has_the_input_of_a_clip(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(3)
    for name in 6 * list_skeletons():
        x = random_walk(rng, get_skeleton(name).num_joints)
        x[..., :2] = x[..., :2] * 100 + 400
        x[..., 2] = rng.choice([0.005, 1], size=x.shape[:2])
        x[1:][rng.random(x[1:].shape[:2]) < 0.2] = 0
        x[1:][rng.random(len(x) - 1) < 0.2] = 0
        check_stream(library, name, x, random_options(rng, True))


@pytest.mark.parametrize("relative", [False, True])
def test_a_stream_in_space_has_the_input_of_a_clip(library: ctypes.CDLL, relative: bool) -> None:
    """What docs/reference/engine.md asks for: the first frame shows trunk and shoulders, and the
    origin is far from the person, or one joint of the trunk in all frames.
    """
    rng = np.random.default_rng(6)
    for name in 8 * list_skeletons():
        skeleton = get_skeleton(name)
        x, trunk = random_walk(rng, skeleton.num_joints), trunk_joints(skeleton)
        lost = rng.random(x.shape[:2]) < (0.1 if relative else rng.choice([0.2, 0.7]))
        lost[0, [*trunk, *(skeleton.shoulders or ())]] = False
        lost[1:][rng.random(len(x) - 1) < 0.2] = True
        if relative:
            x -= x[:, [rng.choice(trunk)]]
        else:
            x[..., 2] += 12
        x[lost] = 0
        check_stream(library, name, x, random_options(rng, False))


def test_a_stream_relative_to_its_root_keeps_the_root(library: ctypes.CDLL) -> None:
    about = about_of("ntu25", clip_frames=9, align_spine=False)
    x = np.random.default_rng(4).normal(size=(9, 25, 3)).astype(np.float32)
    x -= x[:, input_section(about)["root"], None]
    parts = Parts(library, about)
    np.testing.assert_array_equal(parts.stream(x), x)
    parts.close()


def test_refusals_name_the_place(library: ctypes.CDLL) -> None:
    clip = np.ones((2, 5, 25, 4), np.float32)
    clip[1, 3, 7, 1] = clip[1, 4, 7, 2] = np.nan
    parts = Parts(library, about_of("ntu25"))
    place = (
        r"person 1, frame 3, joint 7 \(joint 7\): a joint that is NaN or infinite, the first of 2"
    )
    with pytest.raises(ClipError, match=place):
        parts.clip(clip, 1)
    clip[1, 3:, 7, 3] = 0  # The coordinates of a joint without confidence are not read.
    parts.clip(clip, 1)
    clip[0, 2, 1, 3] = np.inf
    with pytest.raises(ClipError, match=r"person 0, frame 2, joint 1 .*: a score that is"):
        parts.clip(clip, 1)
    with pytest.raises(ClipError, match="joints have 2 channels, but the model reads x, y, z"):
        parts.clip(clip[..., :2], 1)
    with pytest.raises(ClipError, match="frame 1, joint 7"):
        parts.stream(np.stack([clip[0, 0, :, :3], np.where(clip[1, 3], clip[1, 3], 1)[:, :3]]))
    parts.close()
    planar = about_of("coco17", has_score=True)
    small = np.ones((1, 5, 17, 2), np.float32)
    for image, reason in ((None, "the image has the size 0 x 0"), (IMAGE, "within 1.5 pixels")):
        parts = Parts(library, planar, image)
        with pytest.raises(ClipError, match=reason):
            parts.clip(small, 1)
        with pytest.raises(ClipError, match=reason):
            parts.stream(small[0])
        parts.close()


@pytest.mark.parametrize("factor", [0.001, 1, 1000])
def test_other_units_are_refused(library: ctypes.CDLL, factor: float) -> None:
    rng = np.random.default_rng(5)
    about = about_of("ntu25", align_spine=False)
    about["statistics"] = {"mean": np.zeros((25, 3)).tolist(), "std": np.ones((25, 3)).tolist()}
    clip = (rng.normal(size=(1, 30, 25, 3)) * factor).astype(np.float32)
    parts = Parts(library, about)
    for run in (
        lambda: prepare(clip, about),
        lambda: parts.clip(clip, 1),
        lambda: parts.stream(clip[0]),
    ):
        if factor == 1:
            run()
            continue
        reason = "standard deviations away" if factor > 1 else "times smaller"
        with pytest.raises(ClipError, match=reason):
            run()
    parts.close()


def test_a_stream_in_other_units_stays_refused(library: ctypes.CDLL) -> None:
    """Not only in the frames of a clip: an answer after them would be as wrong."""
    about = about_of("ntu25", align_spine=False)
    about["statistics"] = {"mean": np.zeros((25, 3)).tolist(), "std": np.ones((25, 3)).tolist()}
    frames = np.random.default_rng(6).normal(size=(40, 25, 3)).astype(np.float32) * 1000
    parts, refused = Parts(library, about), []
    for t, frame in enumerate(frames):
        try:
            parts.result("parts_push", address(frame), 3, address(frame.copy()))
        except ClipError:
            refused.append(t)
    assert refused == list(range(7, 40))
    parts.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seed": 2**32}, "seed"),
        ({"num_persons": 0}, "0 persons"),
        (
            {"stream": "joint", "use_score": True, "has_score": False, "clip_frames": 2**21},
            "frames",
        ),
    ],
)
def test_sections_that_do_not_fit_are_refused(
    library: ctypes.CDLL, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ClipError, match=reason):
        Parts(library, about_of("ntu25", **change))
