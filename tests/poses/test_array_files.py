"""NumPy files: axes, channels and units follow from shape and values."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.poses import Recording, open_poses
from pyg_stgcn.skeletons import Skeleton, get_skeleton

RNG = np.random.default_rng(0)
M, T = 2, 9


def pixels(*shape: int) -> NDArray[np.float64]:
    """Coordinates in an image of 640 by 480."""
    return RNG.uniform(10, 470, (*shape, 2))


def with_score(points: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([points, RNG.uniform(0.1, 1, (*points.shape[:-1], 1))], axis=-1)


def save(folder: Path, array: NDArray[Any]) -> Path:
    path = folder / "clip.npy"
    np.save(path, array)
    return path


def whole(recording: Recording) -> NDArray[np.float32]:
    """All frames, each with all persons, as ``[M, T, V, C + 1]`` with the scores."""
    frames = [
        np.concatenate([frame.joints, frame.scores[..., None]], -1) for frame in recording.frames()
    ]
    return np.stack(frames, axis=1)


CLIP = with_score(pixels(M, T, 17))


@pytest.mark.parametrize(
    "array",
    [CLIP, CLIP.transpose(1, 0, 2, 3), CLIP.transpose(0, 3, 1, 2), CLIP.transpose(3, 1, 2, 0)],
    ids=["MTVC", "TMVC", "MCTV", "CTVM"],
)
def test_axes_of_two_persons(tmp_path: Path, array: NDArray[Any]) -> None:
    (recording,) = open_poses(save(tmp_path, array))
    assert (recording.name, recording.skeleton.name) == ("clip", "coco17")
    assert (recording.num_channels, recording.has_score, recording.num_frames) == (2, True, T)
    assert np.array_equal(whole(recording), CLIP.astype(np.float32))
    assert all(np.array_equal(frame.tracks, [0, 1]) for frame in recording.frames())


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_axes_of_one_person(tmp_path: Path, axes: tuple[int, ...]) -> None:
    (recording,) = open_poses(save(tmp_path, CLIP[0].transpose(axes)))
    assert np.array_equal(whole(recording), CLIP[:1].astype(np.float32))


@pytest.mark.parametrize(("persons", "frames"), [(12, 5), (5, 12), (3, 40), (8, 8)])
@pytest.mark.parametrize("order", ["MTVC", "TMVC"])
def test_time_is_the_axis_along_which_persons_move_less(
    tmp_path: Path, persons: int, frames: int, order: str
) -> None:
    start = RNG.uniform(10, 400, (persons, 1, 17, 2))
    clip = start + RNG.normal(size=(persons, frames, 17, 2)).cumsum(axis=1)
    array = clip if order == "MTVC" else clip.transpose(1, 0, 2, 3)
    (recording,) = open_poses(save(tmp_path, array))
    assert recording.num_frames == frames
    assert np.array_equal(whole(recording)[..., :2], clip.astype(np.float32))


def test_three_persons_in_pixels_are_not_taken_for_channels(tmp_path: Path) -> None:
    clip = pixels(3, T, 17)
    (recording,) = open_poses(save(tmp_path, clip))
    assert np.array_equal(whole(recording)[..., :2], clip.astype(np.float32))
    assert not recording.has_score
    centred = RNG.uniform(-0.4, 0.4, (3, T, 17, 2))
    with pytest.raises(InputError, match=r"shape \(3, 9, 17, 2\), which may be .* as well as"):
        open_poses(save(tmp_path, centred))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 10, 18, 2), r"shape \(4, 3, 10, 18, 2\), which seems to be several clips"),
        ((17, 3), r"shape \(17, 3\), a single frame"),
        ((10, 51), r"shape \(10, 51\), whose axes cannot be told; save one clip as \[frames"),
        ((10, 19, 3), r"with 19 joints, which no built-in layout has; name the layout as skeleton"),
        ((0, 17, 2), r"shape \(0, 17, 2\)"),
        ((10, 17, 7), r"whose axes cannot be told"),
    ],
)
def test_axes_that_cannot_be_told(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_poses(save(tmp_path, RNG.uniform(0, 100, shape)))
    assert str(caught.value).startswith(f"{tmp_path / 'clip.npy'}: ")


def test_the_named_skeleton_decides(tmp_path: Path) -> None:
    chain = Skeleton(
        "chain", ("a", "b", "c", "d", "e", "f"), tuple((i + 1, i) for i in range(5)), 0
    )
    path = save(tmp_path, pixels(T, 6))
    assert open_poses(path, skeleton=chain)[0].skeleton is chain
    with pytest.raises(InputError, match="no axis of which has the 17 joints of 'coco17'"):
        open_poses(path, skeleton="coco17")
    with pytest.raises(InputError, match=r"array.reshape\(len\(array\), 17, 3\)"):
        open_poses(save(tmp_path, RNG.uniform(0, 9, (T, 51))), skeleton="coco17")


def test_nan_is_a_missing_joint_and_half_of_one_an_error(tmp_path: Path) -> None:
    clip = pixels(T, 17)
    clip[3, 5] = np.nan
    clip[4, 6] = 0
    clip[5] = np.nan
    (recording,) = open_poses(save(tmp_path, clip))
    frames = list(recording.frames())
    assert np.flatnonzero(frames[3].scores[0] == 0).tolist() == [5]
    assert np.flatnonzero(frames[4].scores[0] == 0).tolist() == [6]
    assert not frames[3].joints[0, 5].any()
    assert [len(frame.joints) for frame in frames] == [1, 1, 1, 1, 1, 0, 1, 1, 1]
    clip[7, 9, 1] = np.nan
    (recording,) = open_poses(save(tmp_path, clip))
    with pytest.raises(InputError, match=r"frame 7: left_wrist of person 0 is \(.*, nan\)"):
        list(recording.frames())


def test_fractions_need_the_size_of_the_image(tmp_path: Path) -> None:
    fractions = RNG.uniform(0.1, 0.9, (T, 17, 2))
    path = save(tmp_path, fractions)
    with pytest.raises(InputError, match=r"x and y are fractions .*give image_size, the height"):
        open_poses(path)
    (recording,) = open_poses(path, image_size=(480, 640))
    np.testing.assert_allclose(whole(recording)[0, ..., :2], fractions * (640, 480), rtol=1e-6)
    assert recording.image_size == (480, 640)


def test_centred_coordinates_reach_a_network_unchanged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    centred = RNG.uniform(-0.9, 0.9, (T, 17, 2))
    (recording,) = open_poses(save(tmp_path, centred))
    assert "2-D coordinates around 0 are taken to be relative to" in caplog.text
    height, width = recording.image_size or (0, 0)
    half = np.array([width, height]) / 2
    np.testing.assert_allclose((whole(recording)[0, ..., :2] - half) / half, centred, atol=1e-6)


def test_a_third_channel_is_a_score_or_a_depth(tmp_path: Path) -> None:
    body = RNG.normal(size=(T, 25, 3)) + (0, 0, 3)
    (recording,) = open_poses(save(tmp_path, body))
    assert (recording.skeleton.name, recording.num_channels) == ("ntu25", 3)
    assert not recording.has_score
    assert recording.image_size is None
    (recording,) = open_poses(save(tmp_path, with_score(pixels(T, 25))))
    assert (recording.skeleton.name, recording.num_channels) == ("openpose25", 2)
    ambiguous = save(tmp_path, RNG.uniform(0, 1, (T, 25, 3)))
    with pytest.raises(InputError, match=r"third channel .* may be a score or a depth; give image"):
        open_poses(ambiguous)
    assert open_poses(ambiguous, image_size=(48, 64))[0].skeleton.name == "openpose25"
    with pytest.raises(InputError, match="17 joints in 3-D, whose layout cannot be told"):
        open_poses(save(tmp_path, RNG.normal(size=(T, 17, 3))))
    (recording,) = open_poses(save(tmp_path, RNG.normal(size=(T, 17, 3))), skeleton="coco17")
    assert recording.num_channels == 3


def test_a_root_at_the_origin_is_present_and_other_zeros_are_not(tmp_path: Path) -> None:
    body = RNG.normal(size=(T, 25, 3)).astype(np.float32)
    skeleton = get_skeleton("ntu25")
    body -= body[:, [skeleton.root_joint]]
    body[2, 7] = 0
    (recording,) = open_poses(save(tmp_path, body))
    scores = whole(recording)[0, ..., 3]
    assert scores[:, skeleton.root_joint].all()
    assert scores[2, 7] == 0
    assert scores.sum() == T * 25 - 1


def test_landmarks_of_mediapipe(tmp_path: Path) -> None:
    image = RNG.uniform(0.2, 0.8, (T, 33, 4)) - (0, 0, 0.5, 0)
    (recording,) = open_poses(save(tmp_path, image), image_size=(100, 200))
    assert (recording.skeleton.name, recording.num_channels) == ("blazepose33", 2)
    np.testing.assert_allclose(
        whole(recording)[0], image[..., [0, 1, 3]] * (200, 100, 1), rtol=1e-5
    )
    (recording,) = open_poses(save(tmp_path, image[..., :3]), image_size=(100, 200))
    assert (recording.num_channels, recording.has_score) == (2, False)
    world = RNG.uniform(-0.8, 0.8, (T, 33, 3))
    (recording,) = open_poses(save(tmp_path, world), image_size=(100, 200))
    assert (recording.num_channels, recording.image_size) == (3, None)
    np.testing.assert_allclose(whole(recording)[0, ..., :3], world, rtol=1e-6)


def test_scores_of_zero_everywhere_are_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = np.concatenate([pixels(T, 17), np.zeros((T, 17, 1))], axis=-1)
    with caplog.at_level(logging.WARNING):
        (recording,) = open_poses(save(tmp_path, clip))
    assert not recording.has_score
    assert whole(recording)[..., 2].all()
    assert "all scores are 0" in caplog.text


def test_archive_of_one_clip(tmp_path: Path) -> None:
    path = tmp_path / "walk.npz"
    np.savez(path, keypoints=CLIP[..., :2], scores=CLIP[..., 2], image_size=(480, 640), fps=25.0)
    (recording,) = open_poses(path, image_size=(1, 1), fps=1)
    assert np.array_equal(whole(recording), CLIP.astype(np.float32))
    assert (recording.name, recording.image_size, recording.fps) == ("walk", (480, 640), 25.0)
    np.savez(path, keypoints=CLIP[..., :2], scores=CLIP[0, :, :, 2])
    with pytest.raises(
        InputError, match=r"scores of shape \(9, 17\) .* joints of shape \(2, 9, 17"
    ):
        open_poses(path)
    np.savez(path, keypoints=CLIP[..., :2], image_size=(480, 640, 3))
    with pytest.raises(InputError, match=r"image_size is not \(height, width\)"):
        open_poses(path)


def test_archive_of_several_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "clips.npz"
    np.savez(path, wave=CLIP[0], run=CLIP, labels=np.arange(2), bad=CLIP[:, :, :13])
    recordings = open_poses(path)
    assert [recording.name for recording in recordings] == ["wave", "run"]
    assert "left out 1 of 3 clips; the first" in caplog.text
    assert "with 13 joints" in caplog.text
    np.savez(path, x_train=np.zeros((5, 3, T, 17, 2)), y_train=np.arange(5))
    with pytest.raises(InputError, match=r"contains no clip, only x_train \(5, 3, 9, 17, 2\), y_"):
        open_poses(path)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_objects_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip.{ending}"
    array = np.array([{"a": 1}], object)
    if ending == "npy":
        np.save(path, array, allow_pickle=True)
    else:
        np.savez(path, positions_2d=array)
    with pytest.raises(InputError, match="holds Python objects, which are not read because"):
        open_poses(path)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_truncated_files_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip.{ending}"
    (np.save if ending == "npy" else np.savez)(path, CLIP)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=rf"{path}: damaged, or not a NumPy file"):
        open_poses(path)


def test_first_form_of_st_gcn(shared_data: Path) -> None:
    folder = shared_data / "data/poses/stgcn_npy"
    for path in folder.rglob("*.npy"):
        raw = np.load(path)
        (recording,) = open_poses(path)
        assert recording.skeleton.name == "openpose18"
        assert (recording.image_size, recording.num_frames) == ((1.0, 1.0), raw.shape[1])
        found = whole(recording)[0]
        present = raw[2, :, :, 0] > 0
        assert np.array_equal(found[..., 2] > 0, present)
        expected = (raw.transpose(3, 1, 2, 0)[0] + (0.5, 0.5, 0))[present]
        np.testing.assert_allclose(found[present], expected, atol=1e-6)


def test_a_long_array_stays_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "long.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (4_000_000, 17, 3))  # Sparse.
    array[:2] = CLIP[0, 0]
    del array
    (recording,) = open_poses(path)
    frames = recording.frames()
    assert np.array_equal(next(frames).joints[0], CLIP[0, 0, :, :2].astype(np.float32))
    assert recording.num_frames == 4_000_000


def test_hands_in_millimetres_stay_in_space(tmp_path: Path) -> None:
    hands = RNG.uniform(-90, 90, (T, 21, 3))
    (recording,) = open_poses(save(tmp_path, hands))
    assert (recording.skeleton.name, recording.num_channels) == ("hand21", 3)


def test_a_person_seen_in_few_frames_tells_the_unit_too(tmp_path: Path) -> None:
    clip = np.zeros((2000, 17, 2))
    clip[1001] = pixels(17)
    (recording,) = open_poses(save(tmp_path, clip))
    found = [frame.number for frame in recording.frames() if len(frame.joints)]
    assert found == [1001]


@pytest.mark.parametrize("fps", [np.inf, np.nan, 0, -1, 1e6])
def test_impossible_frame_rates_are_refused(tmp_path: Path, fps: float) -> None:
    np.savez(tmp_path / "clip.npz", keypoints=pixels(9, 17, 2), fps=fps)
    with pytest.raises(InputError, match="fps is not a number of frames per second"):
        open_poses(tmp_path / "clip.npz")
