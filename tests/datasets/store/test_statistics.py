from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets import Clip, ClipStore, SkeletonPickle
from pyg_stgcn.datasets.store import statistics
from pyg_stgcn.datasets.store.statistics import count_missing, frame_histogram, missing_in


def counted_by_hand(presents: list[np.ndarray]) -> tuple[np.ndarray, float, float]:
    missing, seen, incomplete, hidden, frames = 0, 0, 0, 0, 0
    for present in presents:
        absent = ~present.any(axis=-1)
        missing += (~present)[~absent].sum(axis=0)
        seen += (~absent).sum()
        incomplete += absent.any(axis=0).sum()
        hidden += absent.sum(axis=1).min()
        frames += present.shape[1]
    return missing / seen, incomplete / frames, hidden / frames


def random_clips(count: int) -> list[Clip]:
    rng = np.random.default_rng(0)
    clips = []
    for number in range(count):
        keypoint = rng.normal(size=(rng.integers(1, 4), rng.integers(2, 9), 9, 3))
        present = rng.random(keypoint.shape[:3]) < 0.7
        present[rng.random(keypoint.shape[:2]) < 0.4] = False
        clips.append(Clip(str(number), 0, keypoint.astype(np.float16), present=present))
    return clips


@pytest.mark.parametrize("rows", [1, 40, 2**15])
def test_missing_joints_and_persons_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(statistics, "_ROWS", rows)
    clips = random_clips(60)
    store = ClipStore.build(tmp_path / "store", clips, {"dtype": "float16", "splits": {}})
    for chosen in (np.arange(60), np.array([41, 3, 4, 59, 0])):
        missing = count_missing(store, chosen)
        joints, frames, main = counted_by_hand([clips[i].present for i in chosen])
        np.testing.assert_allclose(missing.joints, joints)
        assert missing.frames == pytest.approx(frames)
        assert missing.main == pytest.approx(main)
        assert missing.fraction == pytest.approx(joints.mean())


def test_a_published_file(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "data" / "pyskl" / "mini_ucf101.pkl"
    with path.open("rb") as file:
        annotations = pickle.load(file)["annotations"]
    joints, frames, main = counted_by_hand([clip["keypoint"].any(-1) for clip in annotations])
    missing = missing_in(SkeletonPickle(path, root=tmp_path, split="all"))
    np.testing.assert_allclose(missing.joints, joints)
    assert (missing.frames, missing.main) == pytest.approx((frames, main))
    assert frames > 0.1


@pytest.mark.parametrize("bins", [1, 2, 7, 10])
@pytest.mark.parametrize(("shortest", "longest"), [(5, 5), (1, 2), (3, 12), (40, 100), (1, 999)])
def test_every_clip_is_in_the_range_of_its_length(shortest: int, longest: int, bins: int) -> None:
    random = np.random.default_rng(0).integers(shortest, longest, 50, endpoint=True)
    lengths = [shortest, longest, *random.tolist()]
    histogram = frame_histogram(np.array(lengths), bins)
    assert len(histogram) <= bins
    assert histogram[0][0] == min(lengths) and histogram[-1][1] >= max(lengths)
    counts = Counter(lengths)
    for low, high, clips in histogram:
        assert clips == sum(counts[length] for length in range(low, high + 1))
    assert sum(clips for _, _, clips in histogram) == len(lengths)
