"""Synthetic actions of a kinematic body: the embedded dataset that needs no download."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_stgcn.datasets.base import SkeletonDataset, Split
from pyg_stgcn.datasets.readers.reading import ClipSource
from pyg_stgcn.datasets.store.clip_store import Clip
from pyg_stgcn.datasets.synthetic.kinematics import (
    LEFT,
    NUM_JOINTS,
    RIGHT,
    Array,
    Pose,
    body_offsets,
    forward_kinematics,
    rotation,
)
from pyg_stgcn.datasets.synthetic.motions import ACTIONS, Action, Cue, Encounter, window
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

Clip32 = NDArray[np.float32]

GENERATOR_VERSION = 2
"""Version of the generated clips; stores of earlier versions are built again."""
FRAME_RATE = 30.0
MIN_FRAMES, MAX_FRAMES = 40, 100
DROP_FRACTION = 0.03
"""Nominal fraction of joints that the simulated sensor loses."""

_TRUNK = (0, 1, 2, 3, 4, 8, 12, 16, 20)
_DROPPABLE = tuple(j for j in range(NUM_JOINTS) if j not in _TRUNK)
_EXTREMITIES = (7, 11, 15, 19, 21, 22, 23, 24)
_STYLE_STREAM, _CLIP_STREAM, _SENSOR_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Subject:
    """Body and habits of one person."""

    offsets: Array
    arm: float
    right_handed: bool
    gain: float
    tempo: float
    slouch: float
    stance: float
    rest: Array  # (2, 3): where the hands hang
    restlessness: float


def _generator(*words: int) -> np.random.Generator:
    """Random numbers that depend only on the words, not on earlier draws."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def make_subject(seed: int, subject: int) -> Subject:
    """Body and habits of a subject (numbered from 1)."""
    rng = _generator(seed, _STYLE_STREAM, subject)
    offsets = body_offsets(rng.uniform(1.5, 1.95), rng.normal(1.0, 0.06, NUM_JOINTS).clip(0.8, 1.2))
    rest = np.array([0.14, -0.95, 0.06]) + rng.normal(0.0, 0.04, (2, 3))
    return Subject(
        offsets=offsets,
        arm=float(np.linalg.norm(offsets[[5, 6]], axis=-1).sum()),
        right_handed=bool(rng.random() < 0.8),
        gain=float(rng.uniform(0.8, 1.2)),
        tempo=float(rng.uniform(0.8, 1.25)),
        slouch=float(rng.uniform(-0.05, 0.25)),
        stance=float(rng.uniform(0.0, 0.12)),
        rest=rest,
        restlessness=float(rng.uniform(0.6, 1.4)),
    )


def _wander(rng: np.random.Generator, clock: Array, scale: float, *shape: int) -> Array:
    """Slow random motion of shape ``(T, *shape)``."""
    rate = 2 * np.pi * rng.uniform(0.1, 0.6, (2, *shape))
    phase = rng.uniform(0, 2 * np.pi, (2, *shape))
    time = clock.reshape(-1, 1, *(1,) * len(shape))
    return scale * np.sin(rate * time + phase).sum(axis=1)


def _idle(rng: np.random.Generator, subject: Subject, clock: Array) -> Pose:
    """A person who stands there and does nothing in particular."""
    pose = Pose(len(clock))
    restless = subject.restlessness
    pose.hand += subject.rest + _wander(rng, clock, 0.03 * restless, 2, 3)
    pose.wrist += 0.2 + _wander(rng, clock, 0.15, 2)
    pose.bend += subject.slouch + _wander(rng, clock, 0.03 * restless)
    pose.lean += _wander(rng, clock, 0.03 * restless)
    pose.twist += _wander(rng, clock, 0.06 * restless)
    pose.nod += 0.5 * subject.slouch + _wander(rng, clock, 0.08 * restless)
    pose.turn += _wander(rng, clock, 0.15 * restless)
    pose.yaw += _wander(rng, clock, 0.06 * restless)
    pose.position += _wander(rng, clock, 0.02 * restless, 2)
    soft = 0.06 + np.abs(_wander(rng, clock, 0.03 * restless, 2))
    pose.hip += soft
    pose.knee += 2 * soft
    pose.splay += subject.stance
    return pose


_HAND_PLACES = (
    (0.25, -0.55, 0.05),  # on the hip
    (-0.2, -0.35, 0.4),  # before the belly
    (-0.05, 0.35, 0.25),  # at the head
    (0.1, -0.1, 0.6),  # held out
    (0.5, -0.5, 0.2),  # aside
)


def _distract(rng: np.random.Generator, pose: Pose, free: tuple[int, ...]) -> None:
    """Adds motion that has nothing to do with the action: free hands, head, trunk, steps."""
    progress = np.linspace(0.0, 1.0, pose.num_frames)

    def episode() -> Array:
        start = rng.uniform(-0.3, 0.6)
        span = rng.uniform(0.4, 1.0)
        return window(np.clip((progress - start) / span, 0, 1), 0.35, 0.65)

    for side in free:
        if rng.random() < 0.6:
            place = np.add(_HAND_PLACES[rng.integers(len(_HAND_PLACES))], rng.normal(0, 0.08, 3))
            weight = episode()[:, None]
            pose.hand[:, side] = (1 - weight) * pose.hand[:, side] + weight * place
    pose.turn += rng.normal(0, 0.4) * episode()
    pose.twist += rng.normal(0, 0.15) * episode()
    pose.lean += rng.normal(0, 0.05) * episode()
    pose.yaw += rng.normal(0, 0.2) * progress
    pose.position += rng.normal(0, 0.05, 2) * episode()[:, None]


def _make_cue(
    rng: np.random.Generator, action: Action, subject: Subject
) -> tuple[Cue, Array, float]:
    """Draws timing, side and size of one performance; also returns the clock of its frames."""
    seconds = rng.uniform(*action.seconds) / subject.tempo
    before, after = rng.uniform(0.05, 1.0, 2)
    frames = int(np.clip(round((before + seconds + after) * FRAME_RATE), MIN_FRAMES, MAX_FRAMES))
    clock = np.arange(frames) / FRAME_RATE
    fraction = np.clip((clock - before) / min(seconds, clock[-1] - before), 0, 1)
    warp = rng.uniform(-0.3, 0.3)
    progress = fraction + warp * np.sin(2 * np.pi * fraction) / (2 * np.pi)
    cycles = max(1.5, rng.uniform(1.0, 1.7) * subject.tempo * seconds)
    turn = rng.choice([-1.0, 1.0])
    phase = rng.uniform(0, 2 * np.pi) + turn * 2 * np.pi * cycles * progress
    habitual = rng.random() < 0.85
    return (
        Cue(
            progress=progress,
            phase=phase,
            side=RIGHT if subject.right_handed == habitual else LEFT,
            gain=float(subject.gain * rng.uniform(0.9, 1.1)),
            scatter=rng.normal(0, 0.075, 3),
            repeats=int(rng.integers(1, 3)),
        ),
        clock,
        seconds,
    )


def _solo(rng: np.random.Generator, action: Action, subject: Subject) -> Array:
    assert action.solo is not None
    cue, clock, _ = _make_cue(rng, action, subject)
    pose = _idle(rng, subject, clock)
    free = {"arm": (1 - cue.side,), "arms": (), "legs": (LEFT, RIGHT)}[action.limbs]
    _distract(rng, pose, free)
    action.solo(pose, cue)
    pose.yaw += rng.uniform(-np.pi, np.pi)
    return forward_kinematics(pose, subject.offsets)[None]


def _duo(rng: np.random.Generator, action: Action, subjects: tuple[Subject, Subject]) -> Array:
    assert action.pair is not None
    cue, clock, _ = _make_cue(rng, action, subjects[0])
    pair = (_idle(rng, subjects[0], clock), _idle(rng, subjects[1], clock))
    meet = Encounter(
        start=rng.uniform(1.3, 2.0),
        contact=rng.uniform(0.75, 1.0),
        fraction=rng.uniform(0.2, 0.8),
        arms=(subjects[0].arm, subjects[1].arm),
    )
    action.pair(pair, cue, meet)
    heading = rng.uniform(-np.pi, np.pi)
    away = rotation(1, np.array(heading)) @ (0.0, 0.0, -meet.start / 2)
    out = []
    for pose, subject, sign in zip(pair, subjects, (1.0, -1.0), strict=True):
        pose.yaw += heading if sign > 0 else heading + np.pi
        out.append(forward_kinematics(pose, subject.offsets) - sign * away)
    return np.stack(out if rng.random() < 0.5 else out[::-1])


def perform(action: int, seed: int, subject: int, partner: int, repetition: int) -> Array:
    rng = _generator(seed, _CLIP_STREAM, subject, action, repetition)
    person = make_subject(seed, subject)
    if ACTIONS[action].solo is not None:
        return _solo(rng, ACTIONS[action], person)
    return _duo(rng, ACTIONS[action], (person, make_subject(seed, partner)))


def _place(rng: np.random.Generator, points: Array) -> Array:
    """Moves the scene in front of a slightly tilted sensor."""
    points = points + (rng.uniform(-0.5, 0.5), rng.uniform(-1.1, -0.7), rng.uniform(2.2, 3.8))
    return points @ rotation(0, np.array(rng.uniform(-0.12, 0.12))).T


def _sense(rng: np.random.Generator, points: Array) -> Array:
    """Adds the errors of a depth sensor: jitter, frozen joints, missing joints (all zero)."""
    scale = np.full((NUM_JOINTS, 1), 0.006)
    scale[list(_EXTREMITIES)] = 0.012
    points = points + rng.normal(size=points.shape) * scale
    persons, frames, _, _ = points.shape
    span = 8
    episodes = DROP_FRACTION * NUM_JOINTS * persons * frames / span
    for _ in range(rng.poisson(episodes)):
        person, joint = rng.integers(persons), _DROPPABLE[rng.integers(len(_DROPPABLE))]
        start = rng.integers(frames)
        lost = slice(start, start + rng.integers(1, 2 * span))
        points[person, lost, joint] = 0.0 if rng.random() < 0.5 else points[person, start, joint]
    return points


def generate_clip(seed: int, subject: int, partner: int, action: int, repetition: int) -> Clip32:
    """One recorded clip, which depends on the arguments alone.

    Args:
        seed: Of the dataset.
        subject: Who acts, from 1.
        partner: Who acts with them, where the action takes two.
        action: Number of the action in label order.
        repetition: Which of the subject's recordings of the action.

    Shapes:
        - **output:** :math:`(M, T, 25, 3)`, metres in the frame of the sensor, joints in the order
          of ``ntu25``; a missing joint is zero.
    """
    points = perform(action, seed, subject, partner, repetition)
    rng = _generator(seed, _SENSOR_STREAM, subject, action, repetition)
    points = _sense(rng, _place(rng, points))
    return points.round(4).astype(np.float32)


class SyntheticActions(SkeletonDataset):
    r"""Sixteen actions of a kinematic body, generated without a download.

    A body of 25 joints, with bones of subject-dependent length, is moved by forward kinematics.
    Subjects differ in build, posture, handedness, amplitude and tempo; clips in onset, repetitions,
    viewpoint, motion of the idle limbs, sensor noise and missing joints. Three actions take two
    persons.
    The benchmark ``xsub`` trains on the subjects with odd numbers and tests on those with even
    numbers.

    Args:
        root: Folder of the dataset.
        benchmark: ``"xsub"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to make the clips again.
        source: Not used; there is no source file.
        seed: The same seed gives the same clips on every machine.
        num_subjects: Persons, at least 4.
        repetitions: Clips of every action and subject.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val (xsub)
          - #frames
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 1536
          - 768 / 768
          - 40 to 100
          - 1, or 2 in 3 classes
          - 25
          - 3 (metres)
          - 16
          - 24

    Raises:
        InputError: There are too few subjects or repetitions.
    """

    name = "synthetic"

    def __init__(
        self,
        root: str | os.PathLike[str],
        benchmark: str | None = None,
        split: Split = "train",
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        log: bool = True,
        force_reload: bool = False,
        source: str | os.PathLike[str] | None = None,
        seed: int = 0,
        num_subjects: int = 24,
        repetitions: int = 4,
        strict: bool = False,
        drop_leaks: bool = False,
        skip_bad: bool = False,
        per_person: bool = False,
    ) -> None:
        if num_subjects < 4:
            raise InputError(f"num_subjects: {num_subjects} are too few; two a split need 4")
        if repetitions < 1:
            raise InputError(f"repetitions: {repetitions} is too few; give at least 1")
        self.seed = seed
        self.num_subjects = num_subjects
        self.repetitions = repetitions
        super().__init__(
            root,
            benchmark,
            split,
            transform,
            pre_transform,
            pre_filter,
            log,
            force_reload,
            source,
            strict,
            drop_leaks,
            skip_bad,
            per_person,
        )

    def store_options(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "num_subjects": self.num_subjects,
            "repetitions": self.repetitions,
            "generator": GENERATOR_VERSION,
        }

    def read(self) -> ClipSource:
        keys = list(
            itertools.product(
                range(1, self.num_subjects + 1), range(len(ACTIONS)), range(self.repetitions)
            )
        )
        splits: dict[str, list[str]] = {"xsub_train": [], "xsub_val": []}
        for subject, action, repetition in keys:
            part = "xsub_train" if subject % 2 else "xsub_val"
            splits[part].append(_clip_name(subject, action, repetition))
        return ClipSource(
            skeleton=get_skeleton("ntu25"),
            classes=[action.name for action in ACTIONS],
            splits=splits,
            clips=(self._clip(*key) for key in keys),
            total=len(keys),
        )

    def _clip(self, subject: int, action: int, repetition: int) -> Clip:
        # Partners are of the same parity, so that nobody appears in both splits.
        step = 2 * (1 + repetition % (self.num_subjects // 2 - 1))
        count = self.num_subjects - self.num_subjects % 2
        partner = (subject + step - 1) % count + 1
        keypoint = generate_clip(self.seed, subject, partner, action, repetition)
        return Clip(_clip_name(subject, action, repetition), action, keypoint)


def _clip_name(subject: int, action: int, repetition: int) -> str:
    return f"s{subject:02}a{action:02}r{repetition:02}"
