"""Forward kinematics of a 25-joint human body in ``ntu25`` joint order.

Body axes: x to the person's right, y up, z backwards, so that a person with yaw 0 faces the
sensor of a Kinect-like camera frame (y up, z away from the sensor).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NUM_JOINTS = 25
LEFT, RIGHT = 0, 1

PARENTS = (
    *(-1, 0, 20, 2),
    *(20, 4, 5, 6),
    *(20, 8, 9, 10),
    *(0, 12, 13, 14),
    *(0, 16, 17, 18),
    *(1, 7, 7, 11, 11),
)
_ORDER = (0, 1, 20, 2, 3, 4, 5, 6, 7, 21, 22, 8, 9, 10, 11, 23, 24, *range(12, 20))
_MIRROR = {4: 8, 5: 9, 6: 10, 7: 11, 12: 16, 13: 17, 14: 18, 15: 19, 21: 23, 22: 24}

# Rest pose (standing, arms hanging) of a body 1.7 m tall, as offset from the parent joint.
_REST_OFFSETS = {
    1: (0.0, 0.28, 0.0),
    20: (0.0, 0.24, 0.0),
    2: (0.0, 0.08, 0.0),
    3: (0.0, 0.13, -0.02),
    4: (-0.17, -0.05, 0.0),
    5: (0.0, -0.27, 0.0),
    6: (0.0, -0.24, 0.0),
    7: (0.0, -0.08, 0.0),
    21: (0.0, -0.08, 0.0),
    22: (0.02, -0.03, -0.05),
    12: (-0.09, -0.04, 0.0),
    13: (0.0, -0.40, 0.0),
    14: (0.0, -0.38, 0.0),
    15: (0.0, -0.05, -0.13),
}
_REST_HEIGHT = 1.7
_SHOULDERS, _ELBOWS, _WRISTS = (4, 8), (5, 9), (6, 10)
_HIPS, _KNEES, _ANKLES = (12, 16), (13, 17), (14, 18)
_OUTWARD = (-1.0, 1.0)


def body_offsets(height: float, proportions: Array) -> Array:
    r"""Bone vectors of a body in rest pose.

    Args:
        height: Height of the body in metres.
        proportions: Factor on the length of each bone, indexed by the bone's child joint. The
            right side uses the factors of the left side, so a body is symmetric.

    Shapes:
        - **proportions:** :math:`(V)`
        - **output:** :math:`(V, 3)`, the offset of each joint from its parent (root: 0).
    """
    offsets = np.zeros((NUM_JOINTS, 3))
    for joint, rest in _REST_OFFSETS.items():
        offsets[joint] = np.multiply(rest, height / _REST_HEIGHT * proportions[joint])
    for left, right in _MIRROR.items():
        offsets[right] = offsets[left] * (-1.0, 1.0, 1.0)
    return offsets


@dataclass
class Pose:
    r"""Degrees of freedom of one body over T frames (angles in radians, sides left, right).

    Hands are wrist positions relative to the shoulder in the trunk's axes (outward, up, forward)
    in units of the arm's length; everything else is an angle or a length in metres.
    """

    num_frames: int
    position: Array = field(init=False)  # (T, 2): right, forward of the starting point
    lift: Array = field(init=False)  # (T): height of the lower foot above the floor
    yaw: Array = field(init=False)  # (T): heading
    bend: Array = field(init=False)  # (T): trunk forward, shared by pelvis and spine
    lean: Array = field(init=False)  # (T): trunk to the right
    twist: Array = field(init=False)  # (T): trunk to the left about its own axis
    nod: Array = field(init=False)  # (T): head forward
    turn: Array = field(init=False)  # (T): head to the left
    hand: Array = field(init=False)  # (T, 2, 3)
    wrist: Array = field(init=False)  # (T, 2): flexion
    hip: Array = field(init=False)  # (T, 2): flexion against the vertical
    splay: Array = field(init=False)  # (T, 2): thigh outward
    knee: Array = field(init=False)  # (T, 2): flexion
    planted: Array = field(init=False)  # (2): fraction of each foot in standing still

    def __post_init__(self) -> None:
        for name in ("lift", "yaw", "bend", "lean", "twist", "nod", "turn"):
            setattr(self, name, np.zeros(self.num_frames))
        for name in ("position", "wrist", "hip", "splay", "knee"):
            setattr(self, name, np.zeros((self.num_frames, 2)))
        self.hand = np.zeros((self.num_frames, 2, 3))
        self.planted = np.array([0.5, 0.5])


def rotation(axis: int, angle: Array) -> Array:
    """Counter-clockwise rotations about a coordinate axis, of shape ``(*angle.shape, 3, 3)``."""
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((*np.shape(angle), 3, 3))
    out[..., axis, axis] = 1.0
    out[..., i, i] = out[..., j, j] = cos
    out[..., i, j] = -sin
    out[..., j, i] = sin
    return out


def _arm_rotations(target: Array, upper: float, fore: float, outward: float) -> tuple[Array, Array]:
    """Two-bone inverse kinematics: shoulder and elbow rotations that bring the wrist to `target`.

    The elbow points backward, outward and a little down; targets out of reach are shortened.
    """
    distance = np.linalg.norm(target, axis=-1, keepdims=True)
    direction = target / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(upper - fore) + 0.1 * fore, 0.985 * (upper + fore))

    pole = np.array([0.4 * outward, -0.35, 1.0])
    pole = pole - (direction @ pole)[:, None] * direction
    pole /= np.linalg.norm(pole, axis=-1, keepdims=True)

    cos = (upper**2 + reach**2 - fore**2) / (2 * upper * reach)
    along_upper = cos * direction + np.sqrt(1 - cos**2) * pole
    hinge = np.cross(pole, direction)
    # The resting arm points along -y and bends about x.
    shoulder = np.stack([hinge, -along_upper, np.cross(along_upper, hinge)], axis=-1)
    straightness = (reach**2 - upper**2 - fore**2) / (2 * upper * fore)
    return shoulder, rotation(0, np.arccos(np.clip(straightness[:, 0], -1, 1)))


def _joint_rotations(pose: Pose, offsets: Array) -> dict[int, Array]:
    """Local rotations of the joints that turn; the other joints follow their parent."""
    rotations = {
        0: rotation(1, pose.yaw) @ rotation(0, -0.5 * pose.bend),
        1: rotation(1, pose.twist) @ rotation(2, -pose.lean) @ rotation(0, -0.5 * pose.bend),
        2: rotation(1, pose.turn) @ rotation(0, -pose.nod),
    }
    lengths = np.linalg.norm(offsets, axis=-1)
    for side, outward in enumerate(_OUTWARD):
        upper, fore = lengths[_ELBOWS[side]], lengths[_WRISTS[side]]
        target = pose.hand[:, side] * (outward, 1.0, -1.0) * (upper + fore)
        shoulder, elbow = _arm_rotations(target, upper, fore, outward)
        rotations[_SHOULDERS[side]] = shoulder
        rotations[_ELBOWS[side]] = elbow
        rotations[_WRISTS[side]] = rotation(0, pose.wrist[:, side])

        hip, knee = pose.hip[:, side], pose.knee[:, side]
        thigh = rotation(0, 0.5 * pose.bend) @ rotation(2, outward * pose.splay[:, side])
        rotations[_HIPS[side]] = thigh @ rotation(0, hip)
        rotations[_KNEES[side]] = rotation(0, -knee)
        rotations[_ANKLES[side]] = rotation(0, np.clip(knee - hip, -0.7, 0.7))
    return rotations


def forward_kinematics(pose: Pose, offsets: Array) -> Array:
    r"""Joint positions of a body that stands on the floor :math:`y = 0`.

    Args:
        pose: The degrees of freedom over time.
        offsets: Bone vectors of :func:`body_offsets`.

    Shapes:
        - **offsets:** :math:`(V, 3)`
        - **output:** :math:`(T, V, 3)`
    """
    local = _joint_rotations(pose, offsets)
    frames: dict[int, Array] = {}
    out = np.zeros((pose.num_frames, NUM_JOINTS, 3))
    for joint in _ORDER:
        if joint == 0:
            frames[joint] = local[joint]
            continue
        parent = PARENTS[joint]
        out[:, joint] = out[:, parent] + frames[parent] @ offsets[joint]
        frames[joint] = frames[parent] @ local[joint] if joint in local else frames[parent]

    # The pelvis moves over feet that stand still, not the feet under a pelvis hung in the air.
    ankles, hips = out[:, _ANKLES], out[:, _HIPS]
    out -= ((ankles - hips) * pose.planted[:, None]).sum(axis=1)[:, None] * (1.0, 0.0, 1.0)
    out[..., 1] += (pose.lift - ankles[..., 1].min(axis=1) + np.linalg.norm(offsets[15]) / 2)[
        :, None
    ]
    forward = rotation(1, pose.yaw[:1])[0]
    step = np.stack([pose.position[:, 0], np.zeros(pose.num_frames), -pose.position[:, 1]], axis=-1)
    return out + (step @ forward.T)[:, None]
