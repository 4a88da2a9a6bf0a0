"""Preparation of raw poses for a model, with NumPy alone.

``pyg-stgcn export`` writes a copy of this file beside ONNX and PT2 files. It needs neither PyTorch
nor the package::

    from pyg_stgcn_prepare import prepare

    about = json.loads(session.get_modelmeta().custom_metadata_map["pyg_stgcn"])
    x, batch = prepare(clip, about, num_views=10)
    (logits,) = session.run(["logits"], {"x": x, "batch": batch})  # [num_views, classes]

The result is that of the transforms which the model was trained with: normalisation, streams,
sampling of frames, and a fixed number of persons if the model wants one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Version of the description that :func:`prepare` reads.
VERSION = 1
STREAMS = ("joint", "bone", "joint-motion", "bone-motion")
#: How far from the box around the other joints the origin may lie to be a position, and how far a
#: joint may move on its way through the origin, in extents of the box.
MAX_GAP, MAX_STEP = 0.5, 0.05
#: Coordinates or scores so many standard deviations away from those of the training are in other
#: units, and so are poses so many times smaller.
MAX_DEVIATIONS, MAX_SHRINKING = 50, 50
#: Frames whose bones are measured at once.
_FRAMES_AT_ONCE = 4096

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
#: Normalised joints ``[M, F, V, C]`` at some frames, and a mask of the present ones.
_Taken = tuple[NDArray[Any], Mask]


class ClipError(ValueError):
    """A clip that the model cannot read; the message names the place, the value and the remedy."""


def prepare(
    clip: ArrayLike,
    about: Mapping[str, Any],
    *,
    num_views: int = 1,
    image_size: tuple[float, float] | None = None,
) -> tuple[Floats, NDArray[np.int64]]:
    """Turn a raw clip into the inputs of an exported model.

    Args:
        clip: Joints ``[persons, frames, joints, channels]``, or of one person ``[frames, joints,
            channels]``. In 3-D the channels are x, y, z and perhaps a confidence, in 2-D x and y in
            pixels and perhaps a score from 0 to 1. A missing joint is zero, or has a score of zero.
        about: The description in the metadata of the model.
        num_views: Samples of the frames. Each is a clip of its own in the result: average the
            probabilities of all.
        image_size: Height and width of the image in pixels, for 2-D joints.

    Returns:
        ``x [num_views * P * V, L, C]`` for ``P`` persons, and ``batch [num_views * P * V]``, the
        view of every row. Both are empty if nobody is in the clip: a model cannot answer then.

    Raises:
        ClipError: If a joint is NaN or infinite, the clip does not fit the model, or its units are
            not those of the training.
    """
    found, present = check_clip(clip, about, image_size=image_size)
    return to_input(found, present, about, num_views=num_views, image_size=image_size)


def check_clip(
    clip: ArrayLike,
    about: Mapping[str, Any],
    *,
    image_size: tuple[float, float] | None = None,
) -> tuple[Floats, Mask]:
    """Check a raw clip; arguments and errors are those of :func:`prepare`.

    Returns:
        The joints ``[M, T, V, 3]``, in 2-D with their scores, and a mask of the present ones
        ``[M, T, V]``.
    """
    if about.get("version", VERSION) != VERSION:
        raise ClipError(
            f"the model is described in version {about['version']!r}, this file reads version "
            f"{VERSION}; take the one that was written beside the model"
        )
    joints = about["skeleton"]["joints"]
    planar = bool(about["preprocessing"]["has_score"])
    array = _as_clip(clip, len(joints), planar)
    score = array[..., -1] if array.shape[-1] == (3 if planar else 4) else None
    if score is not None:
        _check_finite(score[..., None], joints, "score")
    if planar:
        if score is None:
            array = np.concatenate([array, array.any(axis=-1, keepdims=True)], axis=-1)
        _check_finite(array, joints, "joint")
        _check_image(array, image_size)
        return array, _present_in_plane(array)
    if image_size is not None:
        raise ClipError("image_size is given, but the model reads 3-D joints; leave it out")
    points = array[..., :3]
    if score is not None:
        points = np.where((score > 0)[..., None], points, np.float32(0))
    _check_finite(points, joints, "joint")
    return points, _present_in_space(points, Body(about["skeleton"]))


def to_input(
    clip: Floats,
    present: Mask,
    about: Mapping[str, Any],
    *,
    num_views: int = 1,
    image_size: tuple[float, float] | None = None,
) -> tuple[Floats, NDArray[np.int64]]:
    """Turn the result of :func:`check_clip` into the inputs of a model, see :func:`prepare`.

    Only the sampled frames are normalised, so that long clips take little time and memory.
    """
    if num_views < 1:
        raise ClipError(f"num_views: {num_views} is too few; give at least 1")
    options, body = about["preprocessing"], Body(about["skeleton"])
    streams, length = options["stream"].split("+"), options["clip_frames"]
    planar, scored = bool(options["has_score"]), is_scored(options)
    if not set(streams) <= set(STREAMS):
        raise ClipError(f"stream {options['stream']!r} is not made of {', '.join(STREAMS)}")
    there = present.any(axis=(1, 2))
    channels = (2 if planar and not scored else 3) * len(streams)
    if not there.any():
        return np.zeros((0, length, channels), np.float32), np.zeros(0, np.int64)
    clip, present = clip[there], present[there]
    if planar:
        assert image_size is not None
        frames, take = np.arange(clip.shape[1]), _in_plane(clip, present, image_size, options)
    else:
        frames, take = _in_space(clip, present, body, options)
    chosen = sample_frames(len(frames), length, num_views, options.get("seed", 255))
    x, shown = _make_streams(take, frames, chosen, streams, body.parents, scored)
    _check_units(x[0], shown[0], about)
    if (num_persons := options.get("num_persons")) is not None:
        absent = np.zeros((max(num_persons - len(x), 0), *x.shape[1:]), np.float32)
        x = np.concatenate([x[:num_persons], absent])
    x = x.reshape(len(x), num_views, length, body.num_joints, channels).transpose(1, 0, 3, 2, 4)
    batch = np.repeat(np.arange(num_views), x.shape[1] * body.num_joints)
    return np.ascontiguousarray(x.reshape(-1, length, channels)), batch


def sample_frames(
    num_frames: int, clip_frames: int, num_views: int = 1, seed: int = 255
) -> NDArray[np.int64]:
    """The frame numbers of all views, ``[num_views * clip_frames]``.

    A clip is cut into pieces and one frame drawn from each. Shorter clips start again when they
    end; clips of less than twice the length skip or keep frames at random.

    Args:
        num_frames: Frames of the clip, at least one.
        clip_frames: Frames of a view.
        num_views: Number of views.
        seed: Seed of NumPy's legacy generator, whose numbers never change.
    """
    generator = np.random.RandomState(seed)
    steps = np.arange(clip_frames)
    views = []
    for view in range(num_views):
        # PYSKL draws the fraction of the clip to use, even where it can only be all of it.
        generator.random_sample()
        if num_frames < clip_frames:
            start = view if num_frames < num_views else view * num_frames // num_views
            frames = start + steps
        elif num_frames < 2 * clip_frames:
            picked = generator.choice(clip_frames + 1, num_frames - clip_frames, replace=False)
            skipped = np.zeros(clip_frames + 1, dtype=np.int64)
            skipped[picked] = 1
            frames = steps + skipped.cumsum()[:-1]
        else:
            edges = np.arange(clip_frames + 1) * num_frames // clip_frames
            frames = edges[:-1] + generator.randint(np.diff(edges))
        views.append(frames)
    return np.concatenate(views) % num_frames


def _as_clip(clip: ArrayLike, num_joints: int, planar: bool) -> Floats:
    try:
        array = np.asarray(clip)
    except ValueError as error:
        raise ClipError(f"no array ({error}); make it one") from None
    array = array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.dtype.kind not in "fiu":
        raise ClipError(
            f"shape {array.shape} and type {array.dtype}, not numbers [persons, frames, joints, "
            "channels] or [frames, joints, channels]"
        )
    kinds = (2, 3) if planar else (3, 4)
    if array.shape[2] != num_joints or array.shape[3] not in kinds:
        meaning = "x, y and perhaps a score" if planar else "x, y, z and perhaps a confidence"
        raise ClipError(
            f"shape {array.shape} is not [persons, frames, {num_joints} joints, {kinds[0]} or "
            f"{kinds[1]} channels]; the model reads {meaning} of its own skeleton"
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def _check_finite(values: Floats, joints: Sequence[str], what: str) -> None:
    if np.isfinite(values).all():
        return
    wrong = ~np.isfinite(values).all(axis=-1)
    person, frame, joint = (int(number) for number in np.argwhere(wrong)[0])
    raise ClipError(
        f"person {person}, frame {frame}, joint {joint} ({joints[joint]}): a {what} that is NaN or "
        f"infinite, the first of {int(wrong.sum())}; set missing joints to zero, or interpolate "
        "them"
    )


def _check_image(array: Floats, image_size: tuple[float, float] | None) -> None:
    if image_size is None or not all(0 < side < math.inf for side in image_size):
        raise ClipError(
            f"image_size is {image_size}, but the model reads 2-D joints in pixels; give "
            "image_size=(height, width)"
        )
    points = array[..., :2]
    if 0 < np.abs(points).max(initial=0) <= 1.5 and min(image_size) > 6:
        raise ClipError(
            f"all joints lie within 1.5 pixels of the corner of an image of {image_size[0]:g} x "
            f"{image_size[1]:g}; give pixels, or image_size=(1, 1) for fractions of the image"
        )


def _check_units(x: Floats, shown: Mask, about: Mapping[str, Any]) -> None:
    """Compare the first person ``[F, V, C]`` with the input of the training."""
    statistics = about.get("statistics")
    if statistics is None or not shown.any():
        return
    mean, std = (np.asarray(statistics[name], np.float64) for name in ("mean", "std"))
    deviations = np.abs(x - mean) / std
    for channel in range(x.shape[-1]):
        median = float(np.median(deviations[..., channel][shown]))
        if median > MAX_DEVIATIONS:
            raise ClipError(
                f"channel {channel} is {median:.3g} standard deviations away from the clips of the "
                "training; give coordinates in their units, pixels with the right image_size, and "
                "scores as in the training, from 0 to 1"
            )
    if "motion" in about["preprocessing"]["stream"].split("+")[0]:
        return
    axes = 2 if about["preprocessing"]["has_score"] else 3
    usual = math.sqrt(float((mean**2 + std**2)[:, :axes].mean()))
    size = math.sqrt(float((x[..., :axes][shown].astype(np.float64) ** 2).mean()))
    if 0 < size * MAX_SHRINKING < usual:
        raise ClipError(
            f"the pose is {usual / size:.3g} times smaller than the clips of the training; give "
            "coordinates in their units"
        )


def _present_in_plane(x: Floats) -> Mask:
    """Joints at (0, 0) are missing, and those without a score unless no joint has one."""
    present: Mask = (x[..., :2] != 0).any(axis=-1)
    certain = x[..., 2] > 0
    return present & certain if certain.any() else present


def _present_in_space(x: Floats, body: Body) -> Mask:
    """Joints at the origin are missing, except for a joint of the trunk that poses are relative to,
    in all frames or in one.
    """
    nonzero: Mask = (x != 0).any(axis=-1)
    if (nonzero.all(axis=-1) == nonzero.any(axis=-1)).all():
        return nonzero
    present, trunk = nonzero.copy(), body.trunk()
    for person in range(len(x)):
        for joint in trunk:
            at_origin = _at_origin(x[person], nonzero[person], joint)
            if at_origin.any():
                present[person, :, joint] |= at_origin
                break
    return present


def _at_origin(x: Floats, nonzero: Mask, joint: int) -> Mask:
    """The frames in which a joint of a person ``[T, V, 3]`` is at the origin and not missing."""
    known = nonzero[:, joint]
    zero: Mask = nonzero.any(axis=1) & ~known
    if not zero.any():
        return zero
    low, high = np.empty((2, int(zero.sum()), 3))
    for axis in range(3):
        values, seen = x[zero, :, axis], nonzero[zero]
        low[:, axis] = np.where(seen, values, np.inf).min(axis=1)
        high[:, axis] = np.where(seen, values, -np.inf).max(axis=1)
    extent = (high - low).max(axis=-1)
    result = zero.copy()
    if not known.any():
        gap = np.linalg.norm(np.maximum(low, -high).clip(min=0), axis=-1)
        return result if (gap <= MAX_GAP * extent).mean() > 0.5 else np.zeros_like(zero)
    # The nearest frames that show the joint, before and after each one at the origin.
    num_frames = len(x)
    time = np.arange(num_frames)
    before = np.maximum.accumulate(np.where(known, time, -1))[zero]
    after = np.minimum.accumulate(np.where(known, time, num_frames)[::-1])[::-1][zero]
    distance = np.linalg.norm(x[:, joint].astype(np.float64), axis=-1)
    close = [
        outside | (distance[frame.clip(0, num_frames - 1)] <= MAX_STEP * extent)
        for frame, outside in ((before, before < 0), (after, after == num_frames))
    ]
    result[zero] = close[0] & close[1]
    return result


def is_scored(options: Mapping[str, Any]) -> bool:
    """Whether the last channel of the input is the score of a 2-D joint."""
    return bool(options["has_score"]) and bool(options.get("use_score", True))


def _in_plane(
    clip: Floats, present: Mask, image_size: tuple[float, float], options: Mapping[str, Any]
) -> Callable[[NDArray[np.int64]], _Taken]:
    """Makes the function that normalises frames of a 2-D clip, by the size of the image."""
    half = np.asarray(image_size, np.float32)[::-1] / np.float32(2)
    threshold = options.get("score_threshold", 0.01)
    fractions, scored = options.get("fractions", False), is_scored(options)

    def take(frames: NDArray[np.int64]) -> _Taken:
        x, shown = clip[:, frames], present[:, frames]
        shown = shown & (x[..., 2] > np.float32(threshold))
        position = (x[..., :2] - half) / half * shown[..., None]
        if fractions:
            position = (position + np.float32(1)) / np.float32(2) * shown[..., None]
        return np.concatenate([position, x[..., 2:]], axis=-1) if scored else position, shown

    return take


def _in_space(
    clip: Floats, present: Mask, body: Body, options: Mapping[str, Any]
) -> tuple[NDArray[np.int64], Callable[[NDArray[np.int64]], _Taken]]:
    """The frames that show the main person, and the function that normalises some of them.

    The main person goes first, their root to the origin, their spine along z and their shoulders
    along x; with ``scale`` their bones get a mean length of one.
    """
    main = _main_person(clip, present)
    order = np.arange(len(clip))
    order[[0, main]] = main, 0
    frames = np.flatnonzero(present[main].any(axis=1))
    # The first frame that shows the root; the first of all if none does.
    first = frames[int(present[main, frames, body.root].argmax())]
    origin = clip[main, first, body.root].astype(np.float64) * present[main, first, body.root]

    def center(persons: NDArray[np.int64], at: NDArray[np.int64]) -> _Taken:
        shown = present[persons[:, None], at]
        points = clip[persons[:, None], at].astype(np.float64)
        points = np.where(shown[..., None], points, 0.0)
        return (points - origin) * shown[..., None], shown

    rotation = np.eye(3)
    if options.get("align_spine") is not False and body.spine and body.shoulders:
        (low, high), (right, left) = body.spine, body.shoulders
        for start, end, axis in ((low, high, (0.0, 0.0, 1.0)), (left, right, (1.0, 0.0, 0.0))):
            both = present[main][:, [start, end]].all(axis=1)[frames]
            if both.any():
                points, _ = center(order[:1], frames[[int(both.argmax())]])
                direction = rotation @ (points[0, 0, end] - points[0, 0, start])
                rotation = _rotation_between(direction.tolist(), axis) @ rotation
    size = 1.0
    if options.get("scale", False):
        parts = range(0, len(frames), _FRAMES_AT_ONCE)
        measured = (center(order[:1], frames[i : i + _FRAMES_AT_ONCE]) for i in parts)
        size = _mean_bone_length(measured, body)

    def take(at: NDArray[np.int64]) -> _Taken:
        points, shown = center(order, at)
        turned = points[..., :1] * rotation[:, 0]
        for axis in (1, 2):
            turned = turned + points[..., axis : axis + 1] * rotation[:, axis]
        return (turned / size).astype(np.float32), shown

    return frames, take


def _main_person(clip: Floats, present: Mask) -> int:
    """The person seen in the most frames; of several the one who moves most."""
    counts = present.any(axis=2).sum(axis=1)
    tied = np.flatnonzero(counts == counts.max())
    if len(tied) == 1:
        return int(tied[0])
    motion = [clip[m][present[m]].astype(np.float64).var(axis=0).sum() for m in tied]
    return int(tied[int(np.argmax(motion))])


def _rotation_between(vector: Sequence[float], axis: Sequence[float]) -> NDArray[np.float64]:
    """The rotation that turns a vector into the direction of an axis, by Rodrigues' formula."""
    x, y, z = (
        vector[1] * axis[2] - vector[2] * axis[1],
        vector[2] * axis[0] - vector[0] * axis[2],
        vector[0] * axis[1] - vector[1] * axis[0],
    )
    identity, tiny = np.eye(3), 1e-6
    if min(abs(x) + abs(y) + abs(z), sum(map(abs, vector))) < tiny:
        return identity
    dot = sum(v * a for v, a in zip(vector, axis, strict=True))
    cosine = dot / (math.hypot(*vector) * math.hypot(*axis))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if angle < tiny:
        return identity
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) / math.hypot(x, y, z)
    turned: NDArray[np.float64] = math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    return identity + turned


def _mean_bone_length(parts: Iterable[_Taken], body: Body) -> float:
    """The mean over the bones and frames in which both ends are present; 1 without any."""
    child, parent = body.bones.T
    total, count = 0.0, 0
    for points, shown in parts:
        both = shown[0][:, child] & shown[0][:, parent]
        length = np.linalg.norm(points[0][:, child] - points[0][:, parent], axis=-1)
        total, count = total + float((length * both).sum()), count + int(both.sum())
    return total / count if total > 0 else 1.0


def _make_streams(
    take: Callable[[NDArray[np.int64]], _Taken],
    frames: NDArray[np.int64],
    chosen: NDArray[np.int64],
    streams: Sequence[str],
    parents: NDArray[np.int64],
    scored: bool,
) -> tuple[Floats, Mask]:
    """The streams at the chosen of the frames, ``[M, F, V, C]``, and the present joints."""
    joints, shown = take(frames[chosen])
    last = chosen == len(frames) - 1
    following = None
    if any(stream.endswith("motion") for stream in streams):
        following = take(frames[np.where(last, chosen, chosen + 1)])
    made = []
    for stream in streams:
        bones = stream.startswith("bone")
        x, seen = _bones(joints, shown, parents, scored) if bones else (joints, shown)
        if stream.endswith("motion"):
            assert following is not None
            after, seen_after = _bones(*following, parents, scored) if bones else following
            x = _difference(after, x, seen & seen_after, scored)
            x[:, last] = 0
        made.append(x)
    return np.concatenate(made, axis=-1), shown


def _bones(
    joints: NDArray[Any], shown: Mask, parents: NDArray[np.int64], scored: bool
) -> tuple[NDArray[Any], Mask]:
    both = shown & shown[:, :, parents]
    return _difference(joints, joints[:, :, parents], both, scored), both


def _difference(end: NDArray[Any], start: NDArray[Any], shown: Mask, scored: bool) -> NDArray[Any]:
    """End less start, zero where not both are shown; of the scores their mean."""
    difference = np.where(shown[..., None], end - start, np.float32(0))
    if scored:
        difference[..., -1] = (end[..., -1] + start[..., -1]) / 2
    return difference


class Body:
    """The skeleton of a description, by the numbers of its joints."""

    def __init__(self, skeleton: Mapping[str, Any]) -> None:
        numbers = {name: number for number, name in enumerate(skeleton["joints"])}

        def pairs(key: str, default: Any = ()) -> NDArray[np.int64]:
            found = default if skeleton.get(key) is None else skeleton[key]
            return np.array([[numbers[joint] for joint in pair] for pair in found], np.int64)

        self.num_joints = len(numbers)
        self.bones = pairs("bones").reshape(-1, 2)
        self.center = numbers[skeleton["center"]]
        self.root = numbers[skeleton.get("root") or skeleton["center"]]
        self.spine = [numbers[joint] for joint in skeleton.get("spine") or ()]
        self.shoulders = [numbers[joint] for joint in skeleton.get("shoulders") or ()]
        self.parents = np.arange(self.num_joints)
        # Of several bones to one child the first counts, so it is written last.
        for child, parent in pairs("bone_pairs", skeleton["bones"])[::-1].tolist():
            self.parents[child] = parent

    def trunk(self) -> list[int]:
        """The joints that poses may be relative to: root, centre and the spine from end to end."""
        joints = [self.root, self.center]
        if self.spine:
            low, high = self.spine
            from_low, from_high = self._bones_from(low), self._bones_from(high)
            joints += [low, high, *np.flatnonzero(from_low + from_high == from_low[high]).tolist()]
        return list(dict.fromkeys(joints))

    def _bones_from(self, start: int) -> NDArray[np.float64]:
        """The number of bones between a joint and all others."""
        distance = np.full(self.num_joints, np.inf)
        distance[start] = 0
        for reached in range(self.num_joints):
            for one, other in self.bones.tolist():
                if min(distance[one], distance[other]) == reached:
                    distance[one] = min(distance[one], reached + 1)
                    distance[other] = min(distance[other], reached + 1)
        return distance
