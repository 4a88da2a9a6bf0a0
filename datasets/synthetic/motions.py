"""Motion programs of the synthetic actions: each bends a :class:`Pose` along a :class:`Cue`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pyg_stgcn.datasets.synthetic.kinematics import LEFT, RIGHT, Array, Pose

BOTH = (LEFT, RIGHT)
_CONTACT_REACH = 0.92


@dataclass(frozen=True)
class Cue:
    """Timing, side and size of an action in one clip."""

    progress: Array  # (T): 0 before the onset, 1 after the end
    phase: Array  # (T): phase of cyclic motion, in radians
    side: int  # the active arm or leg
    gain: float  # amplitude
    scatter: Array  # (3): where in front of the body a gesture takes place
    repeats: int  # of a discrete stroke

    @property
    def stroke(self) -> Array:
        """Progress within the current repeat of a discrete stroke."""
        return np.where(self.progress < 1, self.progress * self.repeats % 1.0, 1.0)


@dataclass(frozen=True)
class Encounter:
    """Parameters of a meeting of two persons who face each other."""

    start: float  # distance at first, in metres
    contact: float  # distance when they are close, in metres
    fraction: float  # of the way, walked by the actor
    arms: tuple[float, float]  # lengths of the actor's and of the partner's arm


def follow(progress: Array, base: Array, keys: Sequence[tuple[float, ArrayLike | None]]) -> Array:
    """Eased interpolation between key values; ``None`` stands for the values of `base`."""
    times = np.array([time for time, _ in keys])
    values = np.stack([base if v is None else np.broadcast_to(v, base.shape) for _, v in keys])
    left = np.clip(np.searchsorted(times, progress, side="right") - 1, 0, len(keys) - 2)
    fraction = np.clip((progress - times[left]) / (times[left + 1] - times[left]), 0, 1)
    fraction = (0.5 - 0.5 * np.cos(np.pi * fraction)).reshape(-1, *(1,) * (base.ndim - 1))
    frames = np.arange(len(progress))
    return (1 - fraction) * values[left, frames] + fraction * values[left + 1, frames]


def window(progress: Array, rise: float = 0.2, fall: float = 0.8) -> Array:
    """Weight that rises to 1 over the first `rise` of the action and falls to 0 after `fall`."""
    return follow(progress, np.zeros_like(progress), [(0, 0.0), (rise, 1.0), (fall, 1.0), (1, 0.0)])


def _reach(
    pose: Pose, side: int, progress: Array, keys: Sequence[tuple[float, ArrayLike | None]]
) -> None:
    pose.hand[:, side] = follow(progress, pose.hand[:, side], keys)


def _gesture(pose: Pose, cue: Cue, centre: Sequence[float], sides: Sequence[int]) -> Array:
    """Holds the hands around a place in front of the body; returns the weight of the gesture."""
    for side in sides:
        place = np.add(centre, cue.scatter)
        _reach(pose, side, cue.progress, [(0, None), (0.2, place), (0.8, place), (1, None)])
    return cue.gain * window(cue.progress)


def wave(pose: Pose, cue: Cue) -> None:
    weight = _gesture(pose, cue, (0.15, 0.6, 0.3), (cue.side,))
    swing = weight * np.sin(cue.phase)
    pose.hand[:, cue.side, 0] += 0.45 * swing
    pose.hand[:, cue.side, 1] += 0.06 * weight * np.cos(2 * cue.phase)
    pose.lean += 0.12 * _outward(cue.side) * swing
    pose.position[:, 0] += 0.2 * _outward(cue.side) * swing


def hammer(pose: Pose, cue: Cue) -> None:
    weight = _gesture(pose, cue, (0.05, 0.15, 0.55), (cue.side,))
    swing = weight * np.sin(cue.phase)
    pose.hand[:, cue.side, 1] += 0.55 * swing
    pose.hand[:, cue.side, 2] += 0.1 * weight * np.cos(cue.phase)
    _squat(pose, 0.48 * (weight - swing), 0.3, cue.gain)


def draw_circle(pose: Pose, cue: Cue) -> None:
    weight = _gesture(pose, cue, (0.1, 0.15, 0.65), (cue.side,))
    slow = 0.75 * cue.phase
    pose.hand[:, cue.side, 0] += weight * 0.55 * np.sin(slow)
    pose.hand[:, cue.side, 1] += weight * 0.55 * np.cos(slow)
    pose.position[:, 0] += 0.28 * _outward(cue.side) * weight * np.sin(slow)
    pose.position[:, 1] += 0.28 * weight * np.cos(slow)
    pose.bend += 0.2 * weight * (1 - np.cos(slow))


def clap(pose: Pose, cue: Cue) -> None:
    weight = _gesture(pose, cue, (0.05, 0.1, 0.6), BOTH)
    swing = weight * np.sin(1.2 * cue.phase)
    pose.hand[..., 0] += 0.4 * swing[:, None]
    pose.hand[..., 1] -= 0.25 * swing[:, None]
    pose.position[:, 1] += 0.2 * swing


def cross_arms(pose: Pose, cue: Cue) -> None:
    weight = _gesture(pose, cue, (0.0, -0.1, 0.4), BOTH)
    swing = weight * np.tanh(1.5 * np.sin(0.6 * cue.phase))
    pose.hand[..., 0] += 0.85 * swing[:, None]
    pose.hand[..., 1] += np.stack([0.4 * swing, 0.25 * swing], axis=-1)
    pose.hand[..., 2] -= 0.25 * swing[:, None]
    _squat(pose, 0.35 * (weight + swing), -0.3, cue.gain)


def throw(pose: Pose, cue: Cue) -> None:
    back = np.array([0.35, 0.45, -0.35]) * cue.gain + 0.5 * cue.scatter
    far = np.array([0.0, 0.2, 0.9]) + 0.5 * cue.scatter
    low = np.array([-0.35, -0.6, 0.5]) * cue.gain
    keys = [(0, None), (0.25, back), (0.45, back), (0.55, far), (0.65, low), (0.85, low), (1, None)]
    _reach(pose, cue.side, cue.stroke, keys)
    _twist(
        pose,
        cue,
        cue.stroke,
        [(0, 0.0), (0.25, -0.6), (0.45, -0.6), (0.65, 0.6), (0.85, 0.6), (1, 0.0)],
    )
    walk(
        pose,
        cue.gain
        * follow(cue.stroke, np.zeros_like(cue.stroke), [(0.4, 0.0), (0.65, 0.45), (1, 0.0)]),
    )
    bend = [(0, 0.0), (0.25, -0.4), (0.45, -0.4), (0.65, 0.5), (0.85, 0.5), (1, 0.0)]
    pose.bend += cue.gain * follow(cue.stroke, np.zeros_like(cue.stroke), bend)


def punch(pose: Pose, cue: Cue) -> None:
    far = np.array([-0.1, 0.0, 0.95]) + 0.5 * cue.scatter
    guard = np.array([0.05, -0.2, 0.25]) * cue.gain + 0.5 * cue.scatter
    keys = [(0, None), (0.2, guard), (0.4, guard), (0.5, far), (0.65, far), (0.8, guard), (1, None)]
    _reach(pose, cue.side, cue.stroke, keys)
    _twist(
        pose,
        cue,
        cue.stroke,
        [(0, 0.0), (0.2, -0.3), (0.4, -0.3), (0.5, 0.5), (0.65, 0.5), (1, 0.0)],
    )
    _squat(pose, 0.4 * window(cue.progress), 0.5, cue.gain)
    lunge = [(0, 0.0), (0.4, -0.1), (0.5, 0.25), (0.65, 0.25), (1, 0.0)]
    pose.position[:, 1] += follow(cue.stroke, np.zeros_like(cue.stroke), lunge)


def _outward(side: int) -> float:
    return 1.0 if side == RIGHT else -1.0


def _twist(pose: Pose, cue: Cue, progress: Array, keys: Sequence[tuple[float, float]]) -> None:
    scaled = [(time, _outward(cue.side) * cue.gain * angle) for time, angle in keys]
    pose.twist += follow(progress, np.zeros_like(progress), scaled)


def _squat(pose: Pose, depth: Array, bend: float, gain: float) -> None:
    """Lowers the body over its feet; a depth of 1 sits on a chair."""
    pose.hip += (1.45 * depth)[:, None]
    pose.knee += (1.55 * depth)[:, None]
    pose.bend += gain * bend * depth


def _sit(pose: Pose, cue: Cue, reverse: bool) -> None:
    still = np.zeros_like(cue.progress)
    depth = follow(cue.progress, still, [(0, 0.0), (1, 1.0)])
    _squat(pose, 1 - depth if reverse else depth, 0.15, cue.gain)
    pose.bend += cue.gain * follow(cue.progress, still, [(0, 0.0), (0.5, 0.6), (1, 0.0)])


def sit_down(pose: Pose, cue: Cue) -> None:
    _sit(pose, cue, reverse=False)


def stand_up(pose: Pose, cue: Cue) -> None:
    _sit(pose, cue, reverse=True)


def kick(pose: Pose, cue: Cue) -> None:
    hip = [(0, None), (0.3, -0.5), (0.45, 1.3 * cue.gain), (0.75, 1.3 * cue.gain), (1, None)]
    knee = [(0, None), (0.3, 1.2), (0.45, 0.1), (0.75, 0.1), (1, None)]
    _raise_leg(pose, cue, hip, knee)
    lean_back = [(0, 0.0), (0.3, 0.2), (0.45, -0.5), (0.75, -0.5), (1, 0.0)]
    pose.bend += cue.gain * follow(cue.progress, np.zeros_like(cue.progress), lean_back)


def lift_knee(pose: Pose, cue: Cue) -> None:
    hip = [(0, None), (0.35, 1.5 * cue.gain), (0.75, 1.5 * cue.gain), (1, None)]
    knee = [(0, None), (0.35, 1.7), (0.75, 1.7), (1, None)]
    _raise_leg(pose, cue, hip, knee)
    for side in BOTH:
        knee_place = (-0.1, -0.6, 0.55)
        keys = [(0, None), (0.35, knee_place), (0.75, knee_place), (1, None)]
        _reach(pose, side, cue.progress, keys)
    crouch = [(0, 0.0), (0.35, 0.4), (0.75, 0.4), (1, 0.0)]
    pose.bend += cue.gain * follow(cue.progress, np.zeros_like(cue.progress), crouch)


def _raise_leg(
    pose: Pose,
    cue: Cue,
    hip: Sequence[tuple[float, ArrayLike | None]],
    knee: Sequence[tuple[float, ArrayLike | None]],
) -> None:
    pose.hip[:, cue.side] = follow(cue.progress, pose.hip[:, cue.side], hip)
    pose.knee[:, cue.side] = follow(cue.progress, pose.knee[:, cue.side], knee)
    pose.planted[:] = 0.0
    pose.planted[1 - cue.side] = 1.0


_FLOOR, _CHEST = (-0.1, -0.9, 0.4), (-0.15, -0.3, 0.4)


def _fetch(pose: Pose, cue: Cue, keys: Sequence[tuple[float, ArrayLike | None]]) -> None:
    still = np.zeros_like(cue.progress)
    depth = follow(cue.progress, still, [(0, 0.0), (0.45, 1.0), (0.55, 1.0), (1, 0.0)])
    _squat(pose, 0.6 * depth, 1.3, cue.gain)
    for side in BOTH:
        _reach(pose, side, cue.progress, keys)


def pick_up(pose: Pose, cue: Cue) -> None:
    chest = np.add(_CHEST, cue.scatter)
    _fetch(pose, cue, [(0, None), (0.45, _FLOOR), (0.55, _FLOOR), (1, chest)])


def put_down(pose: Pose, cue: Cue) -> None:
    chest = np.add(_CHEST, cue.scatter)
    _fetch(pose, cue, [(0, chest), (0.45, _FLOOR), (0.55, _FLOOR), (1, None)])


def walk(pose: Pose, distance: Array, stride: float = 0.5) -> None:
    """Steps forward (or backward) along a given way."""
    pace = np.minimum(np.abs(np.gradient(distance)) * 40.0, 1.0)
    phase = np.pi * distance / stride
    pose.position[:, 1] += distance
    for side, sign in ((LEFT, 1.0), (RIGHT, -1.0)):
        swing = sign * np.sin(phase)
        pose.hip[:, side] += pace * (0.1 + 0.3 * swing)
        pose.knee[:, side] += pace * (0.2 + 0.3 * np.clip(swing, 0, 1))
        pose.hand[:, 1 - side, 2] += 0.15 * pace * swing


def _approach(pair: tuple[Pose, Pose], meet: Encounter, progress: Array, until: float) -> Array:
    """Lets the persons walk towards each other; returns their distance."""
    way = follow(progress, np.zeros_like(progress), [(0, 0.0), (until, meet.start - meet.contact)])
    walk(pair[0], meet.fraction * way)
    walk(pair[1], (1 - meet.fraction) * way)
    return meet.start - way


def _midway(meet: Encounter, distance: Array, person: int, out: float, up: float) -> Array:
    """Place half-way between two persons, as a hand's target."""
    forward = np.minimum(distance / 2 / meet.arms[person], _CONTACT_REACH)
    return np.stack([np.full_like(forward, out), np.full_like(forward, up), forward], axis=-1)


def handshake(pair: tuple[Pose, Pose], cue: Cue, meet: Encounter) -> None:
    distance = _approach(pair, meet, cue.progress, 0.35)
    for person, pose in enumerate(pair):
        target = _midway(meet, distance, person, -0.3, -0.35)
        target[:, 1] += 0.16 * cue.gain * window(cue.progress, 0.4, 0.7) * np.sin(cue.phase)
        keys = [(0.2, None), (0.4, target), (0.75, target), (1, None)]
        _reach(pose, RIGHT, cue.progress, keys)


def push(pair: tuple[Pose, Pose], cue: Cue, meet: Encounter) -> None:
    distance = _approach(pair, meet, cue.progress, 0.4)
    actor, other = pair
    far = _midway(meet, 2 * distance, 0, -0.2, -0.1)
    for side in BOTH:
        keys = [(0.2, None), (0.4, (0.0, -0.3, 0.3)), (0.52, far), (0.7, far), (0.95, None)]
        _reach(actor, side, cue.progress, keys)
    still = np.zeros_like(cue.progress)
    actor.bend += cue.gain * follow(cue.progress, still, [(0.4, 0.0), (0.52, 0.25), (0.9, 0.0)])
    walk(other, -0.8 * cue.gain * follow(cue.progress, still, [(0.5, 0.0), (0.8, 1.0)]))
    other.bend -= cue.gain * follow(cue.progress, still, [(0.48, 0.0), (0.6, 0.4), (1, 0.0)])
    for side in BOTH:
        flung = np.array([0.5, -0.3, 0.4]) + cue.scatter
        _reach(other, side, cue.progress, [(0.5, None), (0.62, flung), (1, None)])


def hug(pair: tuple[Pose, Pose], cue: Cue, meet: Encounter) -> None:
    near = Encounter(meet.start, 0.5 * meet.contact, meet.fraction, meet.arms)
    _approach(pair, near, cue.progress, 0.5)
    for person, pose in enumerate(pair):
        for side in BOTH:
            up = 0.1 if side == person else -0.2
            keys = [(0.2, None), (0.45, (0.2, up, 0.7)), (0.6, (-0.4, up, 0.6)),
                    (0.8, (-0.4, up, 0.6)), (1, None)]  # fmt: skip
            _reach(pose, side, cue.progress, keys)
        pose.bend += 0.2 * window(cue.progress, 0.5, 0.8)


SoloProgram = Callable[[Pose, Cue], None]
PairProgram = Callable[[tuple[Pose, Pose], Cue, Encounter], None]


@dataclass(frozen=True)
class Action:
    """One class: its name, its program and how long and how often it is done."""

    name: str
    seconds: tuple[float, float]
    limbs: Literal["arm", "arms", "legs"]
    solo: SoloProgram | None = None
    pair: PairProgram | None = None


ACTIONS: tuple[Action, ...] = (
    Action("wave", (1.6, 2.6), "arm", wave),
    Action("hammer", (1.6, 2.6), "arm", hammer),
    Action("draw circle", (1.6, 2.6), "arm", draw_circle),
    Action("clap", (1.6, 2.6), "arms", clap),
    Action("cross arms", (1.6, 2.6), "arms", cross_arms),
    Action("throw", (1.5, 2.5), "arm", throw),
    Action("punch", (1.5, 2.5), "arm", punch),
    Action("sit down", (0.9, 1.8), "legs", sit_down),
    Action("stand up", (0.9, 1.8), "legs", stand_up),
    Action("kick", (1.2, 2.2), "legs", kick),
    Action("lift knee", (1.2, 2.2), "legs", lift_knee),
    Action("pick up", (1.4, 2.4), "arms", pick_up),
    Action("put down", (1.4, 2.4), "arms", put_down),
    Action("handshake", (2.0, 3.0), "arms", pair=handshake),
    Action("push", (1.6, 2.6), "arms", pair=push),
    Action("hug", (2.0, 3.0), "arms", pair=hug),
)
