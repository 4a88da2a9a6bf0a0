from __future__ import annotations

import hashlib
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pyg_stgcn.datasets import SyntheticActions
from pyg_stgcn.datasets.synthetic.kinematics import PARENTS
from pyg_stgcn.datasets.synthetic.motions import ACTIONS
from pyg_stgcn.datasets.synthetic.synthetic_actions import (
    DROP_FRACTION,
    MAX_FRAMES,
    MIN_FRAMES,
    generate_clip,
    make_subject,
    perform,
)
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

BASELINE = Path(__file__).resolve().parents[3] / "benchmarks" / "synthetic_baseline.py"
HANDSHAKE = [action.name for action in ACTIONS].index("handshake")


@pytest.fixture(scope="session")
def default_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the default dataset is built once."""
    root = tmp_path_factory.mktemp("synthetic")
    SyntheticActions(root)
    return root


def _digest(clips: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(clip.tobytes() for clip in clips)).hexdigest()


def test_another_process_makes_the_same_clips_in_any_order() -> None:
    keys = [(0, 1, 3, action, 0) for action in range(len(ACTIONS))]
    code = (
        "import hashlib; from pyg_stgcn.datasets.synthetic.synthetic_actions import generate_clip\n"
        f"clips = {{key: generate_clip(*key) for key in {keys[::-1]}}}\n"
        f"joined = b''.join(clips[key].tobytes() for key in {keys})\n"
        "print(hashlib.sha256(joined).hexdigest())"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == _digest([generate_clip(*key) for key in keys])


def test_seed_subject_and_repetition_change_the_clip() -> None:
    variants = [(0, 1, 3, 0, 0), (1, 1, 3, 0, 0), (0, 2, 4, 0, 0), (0, 1, 3, 0, 1)]
    assert len({_digest([generate_clip(*key)]) for key in variants}) == len(variants)


@pytest.mark.parametrize("action", range(len(ACTIONS)), ids=[a.name for a in ACTIONS])
def test_bones_keep_their_length(action: int) -> None:
    actor, partner = 3, 5
    points = perform(action, 0, actor, partner, 0)
    assert len(points) == (1 if ACTIONS[action].solo else 2)
    child = np.arange(1, 25)
    parent = np.array(PARENTS)[child]
    lengths = np.linalg.norm(points[:, :, child] - points[:, :, parent], axis=-1)
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(lengths.shape[1], 1), atol=1e-9)
    bodies = [make_subject(0, subject).offsets for subject in (actor, partner)][: len(points)]
    expected = sorted(np.linalg.norm(body[child], axis=-1).tolist() for body in bodies)
    np.testing.assert_allclose(sorted(lengths[:, 0].tolist()), expected, atol=1e-9)


def test_the_body_has_the_bones_of_ntu25() -> None:
    bones = {frozenset(bone) for bone in get_skeleton("ntu25").bones}
    assert {frozenset(pair) for pair in enumerate(PARENTS) if pair[0]} == bones


def test_bodies_are_symmetric_and_differ() -> None:
    offsets = [make_subject(0, subject).offsets for subject in range(1, 25)]
    for left, right in get_skeleton("ntu25").pairs:
        for body in offsets:
            np.testing.assert_allclose(body[left] * (-1, 1, 1), body[right])
    thighs = np.linalg.norm([body[13] for body in offsets], axis=-1)
    assert thighs.max() / thighs.min() > 1.2


def test_feet_stay_on_the_floor() -> None:
    for action in range(len(ACTIONS)):
        lowest = perform(action, 0, 1, 3, 0)[..., 1].min(axis=(1, 2))
        assert np.all(np.abs(lowest) < 0.12), ACTIONS[action].name


def test_hands_meet_in_a_handshake() -> None:
    for subject in range(1, 9):
        pair = perform(HANDSHAKE, 0, subject, subject + 2, 0)
        hands = np.linalg.norm(pair[0, :, 11] - pair[1, :, 11], axis=-1)
        assert hands.min() < 0.35 < 0.8 < hands.max()


def test_persons_of_one_clip_share_its_frames_and_stand_before_the_sensor() -> None:
    clip = generate_clip(0, 1, 3, HANDSHAKE, 0)
    assert clip.dtype == np.float32
    assert clip.shape[0] == 2
    assert clip.shape[2:] == (25, 3)
    depth = clip[:, :, 0, 2]
    assert np.all((depth > 1.0) & (depth < 5.5))


def test_missing_joints_have_their_nominal_fraction(default_root: Path) -> None:
    zero = frozen = total = 0
    for data in SyntheticActions(default_root, split="all"):
        joints = data.x.numpy()
        lost = ~joints.any(axis=-1)
        held = (joints[:, 1:] == joints[:, :-1]).all(axis=-1) & ~lost[:, 1:]
        zero, frozen, total = zero + lost.sum(), frozen + held.sum(), total + lost.size
    assert 0.8 * DROP_FRACTION < (zero + frozen) / total < 1.1 * DROP_FRACTION
    assert 0.8 < zero / frozen < 1.4


def test_the_default_dataset(default_root: Path) -> None:
    dataset = SyntheticActions(default_root, split="all")
    assert len(dataset) == 1536
    assert dataset.num_classes == len(dataset.classes) == len(set(dataset.classes)) == 16
    assert np.bincount(dataset.labels).tolist() == [96] * 16
    assert (dataset.num_channels, dataset.has_score, dataset.skeleton.name) == (3, False, "ntu25")
    assert dataset.num_frames.min() >= MIN_FRAMES
    assert dataset.num_frames.max() <= MAX_FRAMES
    assert np.unique(dataset.num_frames).size > 30
    assert dataset.num_persons.tolist() == [2 if y >= HANDSHAKE else 1 for y in dataset.labels]


def test_subjects_are_in_one_split_only(default_root: Path) -> None:
    parts = [SyntheticActions(default_root, split=split) for split in ("train", "val")]
    subjects = [{name.split("a")[0] for name in part.names} for part in parts]
    assert [len(part) for part in parts] == [768, 768]
    assert subjects[0] == {f"s{number:02}" for number in range(1, 25, 2)}
    assert subjects[1] == {f"s{number:02}" for number in range(2, 25, 2)}
    for part in parts:
        assert np.bincount(part.labels).tolist() == [48] * 16


@pytest.mark.parametrize("num_subjects", [4, 5, 7, 24])
def test_partners_come_from_the_same_split(
    num_subjects: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: set[tuple[int, int]] = set()

    def record(seed: int, subject: int, partner: int, action: int, repetition: int) -> np.ndarray:
        met.add((subject, partner))
        return np.ones((1, 2, 25, 3), np.float32)

    monkeypatch.setattr("pyg_stgcn.datasets.synthetic.synthetic_actions.generate_clip", record)
    SyntheticActions(tmp_path, num_subjects=num_subjects, repetitions=3)
    assert {subject for subject, _ in met} == set(range(1, num_subjects + 1))
    for subject, partner in met:
        assert partner != subject
        assert partner % 2 == subject % 2
        assert 1 <= partner <= num_subjects


def test_options_make_another_store(tmp_path: Path) -> None:
    first = SyntheticActions(tmp_path, num_subjects=4, repetitions=1)
    assert len(first) == 32
    again = SyntheticActions(tmp_path, num_subjects=4, repetitions=1)
    assert all(bool((a.x == b.x).all()) for a, b in zip(first, again, strict=True))
    other = SyntheticActions(tmp_path, num_subjects=4, repetitions=1, seed=1)
    assert other.names == first.names
    assert any(a.x.shape != b.x.shape for a, b in zip(again, other, strict=True))


@pytest.mark.parametrize("options", [{"num_subjects": 3}, {"repetitions": 0}])
def test_too_little_is_refused(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        SyntheticActions(tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_nearest_neighbours_neither_fail_nor_suffice(default_root: Path) -> None:
    baseline = runpy.run_path(str(BASELINE))
    train, val = (SyntheticActions(default_root, split=split) for split in ("train", "val"))
    for centre in baseline["CENTRES"]:
        accuracy = (baseline["baseline_predictions"](train, val, centre) == val.labels).mean()
        assert 0.4 < accuracy < 0.8, centre
