"""Accuracy of plain nearest neighbours on SyntheticActions, a lower bound for trained models.

Every clip becomes 16 linearly interpolated frames, centred on the first person's spine and divided
by the length of the trunk; the persons are concatenated, a missing one is zero. A validation clip
gets the label of the training clip at the smallest Euclidean distance.

    python benchmarks/synthetic_baseline.py --root data
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets import SkeletonDataset, SyntheticActions

FRAMES = 16
CENTRES = ("clip", "frame")
SPINE_BASE, SPINE_MID, SPINE_TOP = 0, 1, 20

Array = NDArray[np.float64]


def clip_features(keypoint: Array, centre: str) -> Array:
    r"""Describe a clip by a vector.

    Args:
        keypoint: Joint coordinates of one or two persons.
        centre: ``"clip"`` puts the spine of the first frame at the origin, ``"frame"`` that of
            every frame.

    Shapes:
        - **keypoint:** :math:`(M, T, V, 3)`
        - **output:** :math:`(2 \cdot 16 \cdot V \cdot 3)`
    """
    num_persons, num_frames, num_joints, _ = keypoint.shape
    spine = keypoint[:1, :, SPINE_MID : SPINE_MID + 1]
    # A missing joint is all zero and stays so: it would lie metres away after centring.
    present = keypoint.any(axis=-1, keepdims=True)
    centred = (keypoint - (spine if centre == "frame" else spine[:, :1])) * present

    position = np.linspace(0, num_frames - 1, FRAMES)
    left = np.minimum(position.astype(int), num_frames - 2)
    fraction = (position - left)[:, None, None]
    frames = (1 - fraction) * centred[:, left] + fraction * centred[:, left + 1]

    trunk = keypoint[0, :, SPINE_TOP] - keypoint[0, :, SPINE_BASE]
    out = np.zeros((2, FRAMES, num_joints, 3))
    out[:num_persons] = frames / np.linalg.norm(trunk, axis=-1).mean()
    return out.ravel()


def dataset_features(dataset: SkeletonDataset, centre: str) -> Array:
    """Vectors of all clips of a dataset, one a row."""
    joints = dataset.skeleton.num_joints
    clips = (data.x.double().unflatten(0, (-1, joints)).transpose(1, 2) for data in dataset)
    return np.stack([clip_features(clip.numpy(), centre) for clip in clips])


def nearest_neighbours(query: Array, reference: Array) -> NDArray[np.intp]:
    """Index of the reference row that is nearest to each query row."""
    squared = (reference**2).sum(axis=1) - 2 * query @ reference.T
    return squared.argmin(axis=1)


def baseline_predictions(
    train: SkeletonDataset, val: SkeletonDataset, centre: str
) -> NDArray[np.int64]:
    """Labels that nearest neighbours give the clips of :obj:`val`."""
    nearest = nearest_neighbours(dataset_features(val, centre), dataset_features(train, centre))
    return train.labels[nearest]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", default="data")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, val = (
        SyntheticActions(options.root, split=split, seed=options.seed) for split in ("train", "val")
    )
    right = {c: baseline_predictions(train, val, c) == val.labels for c in CENTRES}
    print(f"{'class':12}" + "".join(f"{f'by {c}':>10}" for c in CENTRES))
    for label, name in enumerate(val.classes):
        of_class = (right[c][val.labels == label].mean() for c in CENTRES)
        print(f"{name:12}" + "".join(f"{fraction:10.1%}" for fraction in of_class))
    print(f"{'top-1':12}" + "".join(f"{right[c].mean():10.1%}" for c in CENTRES))


if __name__ == "__main__":
    main()
