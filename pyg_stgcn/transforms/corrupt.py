"""Dropped frames and joints, for evaluation and for training."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import MODES, check_name, dropped_fraction
from pyg_stgcn.transforms.clip_tensor import clip_name, keep_present, kept_present, split_persons


@functional_transform("temporal_corruption")
class TemporalCorruption(BaseTransform):
    r"""Drops a fraction of a clip's frames, as in `"FineTec" <https://arxiv.org/abs/2512.25067>`_
    (functional name: :obj:`temporal_corruption`).

    Dropped frames are zero for all persons, scores included; the clip keeps its length. They are
    any frames (``"random"``), one piece anywhere (``"block"``), the first (``"prefix"``), the last
    (``"suffix"``), or spread evenly (``"periodic"``). Of :math:`T` frames
    :math:`\mathrm{round}(r T)` are dropped, but never all.

    The choice depends only on the seed, the name and length of the clip and the options. In mode
    ``"random"``, a higher fraction drops the frames of a lower one and more of the same clip.
    Without a seed, torch's global generator draws them.

    :class:`PreNormalize3D` removes empty frames, so this transform comes after it.

    Args:
        severity: ``"minor"`` (0.25), ``"moderate"`` (0.5), ``"severe"`` (0.75), or the fraction
            :math:`r` in :math:`[0, 1)`. Of the three only the last is published, as about 75 %.
        mode: One of the names above.
        seed: The seed of the choice, or :obj:`None` for random ones in training.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If there is no such severity or mode.
    """

    def __init__(
        self, severity: str | float = "severe", mode: str = "random", seed: int | None = 0
    ) -> None:
        check_name("mode", mode, MODES)
        self.ratio = dropped_fraction(severity)
        self.mode = mode
        self.seed = seed

    def forward(self, data: Data) -> Data:
        dropped = self.draw(data.x.size(1), clip_name(data))
        if len(dropped):
            present = kept_present(data)
            data.x = data.x.index_fill(1, dropped, 0)
            if present is not None:
                present = present.index_fill(1, dropped, False)
            keep_present(data, present)
        return data

    def draw(self, num_frames: int, name: str) -> Tensor:
        """The numbers of the frames to drop of a clip."""
        num_dropped = _num_dropped(self.ratio, num_frames)
        if not num_dropped:
            return torch.empty(0, dtype=torch.long)
        draws = _draw(num_frames, name, num_frames, self.seed)
        return dropped_frames(self.mode, num_frames, num_dropped, draws)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.ratio}, {self.mode!r}, seed={self.seed})"


@functional_transform("joint_dropout")
class JointDropout(BaseTransform):
    r"""Drops random joints (functional name: :obj:`joint_dropout`).

    A dropped joint of a person is zero in the whole clip, score included, like the occluded body
    parts of `"Richly Activated Graph Convolutional Network" <https://arxiv.org/abs/2008.03791>`_:
    an obstacle normally hides a joint for many frames. The joints differ between persons. Of
    :math:`V` joints :math:`r V` are dropped, but never all. If that is not a whole number, it is
    rounded up or down at random, so that it is right on average: 4 % of 25 joints are one, and 1 %
    is one for every fourth person.

    The choice depends only on the seed, the name and length of the clip and the ratio. Without a
    seed, torch's global generator draws the joints.

    Args:
        ratio: The fraction :math:`r` in :math:`[0, 1)`.
        seed: The seed of the choice, or :obj:`None` for random ones in training.

    Shapes:
        - **input x, output x:** :math:`(M \cdot V, T, C)`

    Raises:
        InputError: If the ratio is not such a fraction.
    """

    def __init__(self, ratio: float, seed: int | None = 0) -> None:
        if not 0 <= ratio < 1:
            raise InputError(f"ratio: {ratio:g} of the joints cannot be dropped; give 0 to below 1")
        self.ratio = ratio
        self.seed = seed

    def forward(self, data: Data) -> Data:
        persons = split_persons(data)
        num_persons, num_joints, num_frames, _ = persons.shape
        dropped = self.draw(num_persons, num_joints, num_frames, clip_name(data))
        present = kept_present(data)
        data.x = persons.masked_fill(dropped[..., None, None], 0).flatten(0, 1)
        keep_present(data, None if present is None else present & ~dropped.view(-1, 1))
        return data

    def draw(self, num_persons: int, num_joints: int, num_frames: int, name: str) -> Tensor:
        """Mask of the joints to drop of a clip, :math:`(M, V)`."""
        draws = _draw(num_persons * (num_joints + 1), name, num_frames, self.seed)
        uniform, draws = draws[:num_persons], draws[num_persons:].view(num_persons, num_joints)
        num_dropped = (self.ratio * num_joints + uniform).floor().clamp(max=num_joints - 1)
        return draws.argsort(dim=1, stable=True).argsort(dim=1) < num_dropped[:, None]

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.ratio}, seed={self.seed})"


def dropped_frames(mode: str, num_frames: int, num_dropped: int, draws: Tensor) -> Tensor:
    r"""The numbers of the frames that a mode drops.

    Args:
        mode: One of :data:`MODES`.
        num_frames: Frames of the clip.
        num_dropped: How many to drop, from 1 to all but one.
        draws: Uniform random numbers in :math:`[0, 1)`, one a frame.

    Shapes:
        - **draws:** :math:`(T)`, double precision
        - **output:** :math:`(\text{num\_dropped})`
    """
    if mode == "random":
        return draws.argsort(stable=True)[:num_dropped]
    steps = torch.arange(num_dropped)
    if mode == "periodic":
        phase = int(draws[0] * num_frames)
        return (steps * num_frames // num_dropped + phase) % num_frames
    kept = num_frames - num_dropped
    start = {"prefix": 0, "suffix": kept, "block": int(draws[0] * (kept + 1))}
    return steps + start[mode]


def _num_dropped(ratio: float, total: int) -> int:
    return max(0, min(round(ratio * total), total - 1))


def _draw(count: int, name: str, num_frames: int, seed: int | None) -> Tensor:
    if seed is None:
        return torch.rand(count, dtype=torch.double)
    text = f"{seed} {num_frames} {name}"
    digest = hashlib.sha256(text.encode()).digest()
    # The legacy generator: its stream is the same in all versions of NumPy.
    generator = np.random.RandomState(int.from_bytes(digest[:4], "little"))
    return torch.from_numpy(generator.random_sample(count))
