"""A pipeline of transforms for whole batches: draws in the loader, arithmetic on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform, Compose

from pyg_stgcn import transforms
from pyg_stgcn.errors import InputError
from pyg_stgcn.transforms.batched import batch_augment, batch_inputs, batch_normalize
from pyg_stgcn.transforms.batched.batch_rows import ClipRows, Rows
from pyg_stgcn.transforms.batched.batch_step import (
    ClipShape,
    Draws,
    Prepared,
    Step,
    StoredRows,
)

#: Rows that are transformed at a time, at least those of one clip: bounds the memory.
MAX_ROWS = 65_536

#: The form for batches of every transform that has one.
STEPS: dict[type[BaseTransform], type[Step]] = {
    transforms.PreNormalize2D: batch_normalize.Normalize2D,
    transforms.PreNormalize3D: batch_normalize.Normalize3D,
    transforms.RandomScaling: batch_augment.Stretch,
    transforms.RandomRotation: batch_augment.Rotate,
    transforms.RandomMirror: batch_augment.Mirror,
    transforms.GaussianNoise: batch_augment.AddNoise,
    transforms.TemporalCrop: batch_augment.Crop,
    transforms.RandomSpeed: batch_augment.ChangeSpeed,
    transforms.JointDropout: batch_augment.DropJoints,
    transforms.TemporalCorruption: batch_augment.DropFrames,
    transforms.Interpolate: batch_inputs.FillIn,
    transforms.ToFractions: batch_inputs.Fractions,
    transforms.DropScore: batch_inputs.LeaveOutScore,
    transforms.ToStream: batch_inputs.MakeStream,
    transforms.UniformSample: batch_inputs.Sample,
    transforms.PadPersons: batch_inputs.FillPersons,
}


class StoredClip(Protocol):
    """A clip as datasets store it, see :class:`pyg_stgcn.datasets.Clip`."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> int: ...
    @property
    def keypoint(self) -> NDArray[Any]: ...
    @property
    def image_size(self) -> tuple[float, float] | None: ...
    @property
    def present(self) -> NDArray[np.bool_] | None: ...


class DrawnClip(NamedTuple):
    """A stored clip, with the draws of all steps and its persons and frames before and after each
    of them.
    """

    clip: StoredClip
    draws: list[Draws]
    sizes: list[tuple[int, int]]


class _Part(NamedTuple):
    """Some clips of a batch: those that are transformed at a time."""

    stored: StoredRows
    #: What every step needs on the device.
    prepared: list[Prepared]
    #: Persons after the last step.
    num_persons: int


class RawBatch:
    r"""Clips as they are stored, and what was drawn for them; :class:`BatchTransform` makes the
    input of a model of them.

    Args:
        parts: The clips.
        label: Classes of the clips, :math:`(N)`.
        batch: Clip of every node of the input, :math:`(P \cdot V)`.
        ptr: First node of every clip, and their number, :math:`(N + 1)`.
        in_plane: Whether the clips have an image size.
    """

    # No dataclass: Lightning would convert the numbers in it to the precision of the weights.
    def __init__(
        self, parts: list[_Part], label: Tensor, batch: Tensor, ptr: Tensor, in_plane: bool
    ) -> None:
        self.parts = parts
        self.label = label
        self.batch = batch
        self.ptr = ptr
        self.in_plane = in_plane

    def to(self, device: torch.device | str) -> RawBatch:
        """Copy to a device; from pinned memory without waiting."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=tensor.is_pinned()))

    def pin_memory(self) -> RawBatch:
        """Copy to pinned memory."""
        return self._map(Tensor.pin_memory)

    def __reduce__(self) -> tuple[Any, ...]:
        # Between processes every tensor takes a file descriptor, and many times as long as an array
        # of NumPy.
        return _from_arrays, tuple(_map(value, Tensor.numpy) for value in vars(self).values())

    def _map(self, change: Callable[[Tensor], Tensor]) -> RawBatch:
        return RawBatch(*(_map(value, change) for value in vars(self).values()))


class BatchTransform:
    """Does for a whole batch, on any device, what a pipeline does for single clips.

    The loader draws for every clip what its transforms depend on, from the same generators in the
    same order as the transforms themselves (:meth:`draw`), and puts the stored clips together
    (:meth:`collate`). The result is the same up to rounding.

    Args:
        pipeline: Transforms of single clips, as from
            :func:`~pyg_stgcn.transforms.standard_transform`. A normalisation is the first;
            :class:`ToStream`, :class:`UniformSample` and :class:`PadPersons` are the last, in this
            order; of all these only :class:`UniformSample` is needed.

    Raises:
        InputError: A transform works on single clips only, or the order is another one.

    Example:
        >>> transform = BatchTransform(standard_transform(dataset.skeleton, ...))
        >>> raw = transform.collate([transform.draw(dataset.clip(number)) for number in range(16)])
        >>> batch = transform(raw.to("cuda"))
        >>> logits = model(batch.x, batch.batch, batch.num_graphs)
    """

    def __init__(self, pipeline: Compose) -> None:
        for transform in pipeline.transforms:
            if type(transform) not in STEPS:
                raise InputError(
                    f"{type(transform).__name__}: works on single clips only, not on batches on a "
                    "device; leave it out, or leave out device_transforms"
                )
        _check_order([type(transform) for transform in pipeline.transforms])
        self.steps = [STEPS[type(transform)](transform) for transform in pipeline.transforms]

    def draw(self, clip: StoredClip) -> DrawnClip:
        """Draw what the transforms of a clip depend on, from torch's global generator.

        Raises:
            InputError: The clip cannot be transformed.
        """
        assert clip.present is not None, "stored clips know their joints"
        persons, frames, joints, channels = clip.keypoint.shape
        size = clip.image_size
        shape = ClipShape(clip.name, persons, frames, joints, channels, size, clip.present)
        draws, sizes = [], [(persons, frames)]
        for step in self.steps:
            draws.append(step.draw(shape))
            sizes.append((shape.persons, shape.frames))
        return DrawnClip(clip, draws, sizes)

    def collate(self, clips: Sequence[DrawnClip]) -> RawBatch:
        """Put clips together that :meth:`draw` gave."""
        parts = [self._prepare(part) for part in _divide(clips)]
        joints = clips[0].clip.keypoint.shape[2]
        nodes = torch.tensor([drawn.sizes[-1][0] * joints for drawn in clips])
        return RawBatch(
            parts,
            torch.tensor([drawn.clip.label for drawn in clips]),
            torch.arange(len(clips)).repeat_interleave(nodes),
            torch.nn.functional.pad(nodes.cumsum(0), (1, 0)),
            clips[0].clip.image_size is not None,
        )

    def __call__(self, raw: RawBatch) -> Batch:
        r"""Transform the clips of a batch on their device.

        Shapes:
            - **output:** as of PyG's loader, ``x`` :math:`(P \cdot V, T, C)`, ``batch``, ``ptr``
              and ``y``; without what models do not need, such as the names of the clips
        """
        inputs = [self._transform(part, raw.in_plane) for part in raw.parts]
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs)
        return Batch(x=x, y=raw.label, batch=raw.batch, ptr=raw.ptr)

    def _transform(self, part: _Part, in_plane: bool) -> Tensor:
        # A copy in any case: steps work in place.
        keypoint = part.stored.keypoint.permute(2, 1, 0)
        x = torch.empty(keypoint.shape, dtype=torch.float32, device=keypoint.device)
        present = part.stored.present.t().contiguous()
        clips = ClipRows(x.copy_(keypoint), present, in_plane=in_plane)
        for step, prepared in zip(self.steps, part.prepared, strict=True):
            step.apply(clips, *prepared)
        by_person = clips.x.unflatten(2, (part.num_persons, -1))
        return by_person.permute(2, 1, 3, 0).flatten(0, 1)

    def _prepare(self, clips: Sequence[DrawnClip]) -> _Part:
        arrays = [drawn.clip.keypoint for drawn in clips]
        keypoint = np.concatenate([array.reshape(-1, *array.shape[2:]) for array in arrays])
        masks = [drawn.clip.present for drawn in clips if drawn.clip.present is not None]
        present = np.concatenate([mask.reshape(-1, mask.shape[2]) for mask in masks])
        stored = StoredRows(torch.from_numpy(keypoint), torch.from_numpy(present))
        sizes = list(zip(*(drawn.sizes for drawn in clips), strict=True))
        # Most steps keep the shapes.
        rows = {size: Rows(*zip(*size, strict=True)) for size in dict.fromkeys(sizes)}
        prepared = []
        for number, step in enumerate(self.steps):
            of_clips = zip(*(drawn.draws[number] for drawn in clips), strict=True)
            draws = tuple(torch.cat(tensors) for tensors in of_clips)
            before, after = rows[sizes[number]], rows[sizes[number + 1]]
            prepared.append(step.prepare(draws, before, after, stored))
        return _Part(stored, prepared, rows[sizes[-1]].num_persons)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[step.transform for step in self.steps]})"


def _check_order(kinds: list[type[BaseTransform]]) -> None:
    first = {transforms.PreNormalize2D, transforms.PreNormalize3D}
    end = (transforms.ToStream, transforms.UniformSample, transforms.PadPersons)
    found = [kind for kind in kinds if kind in end]
    # Of each at most one, in their order, after all others.
    expected = [kind for kind in end if kind in found]
    ends = kinds[len(kinds) - len(expected) :] == expected == found and end[1] in found
    if not ends or first & set(kinds[1:]):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise InputError(
            f"pipeline of {names}: one for batches starts with a normalisation, if at all, and "
            "ends with ToStream, UniformSample and PadPersons, of which only the second is needed"
        )


def _divide(clips: Sequence[DrawnClip]) -> Iterator[Sequence[DrawnClip]]:
    """Parts of at most :data:`MAX_ROWS` rows, or of one clip."""
    start = total = 0
    for number, drawn in enumerate(clips):
        rows = max(persons * frames for persons, frames in drawn.sizes)
        if number > start and total + rows > MAX_ROWS:
            yield clips[start:number]
            start, total = number, 0
        total += rows
    yield clips[start:]


def _from_arrays(*arrays: Any) -> RawBatch:
    return RawBatch(*_map(arrays, torch.from_numpy, np.ndarray))


def _map(value: Any, change: Callable[[Any], Any], kind: type = Tensor) -> Any:
    """Change everything of a kind in lists and tuples."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, _Part | StoredRows):
        return type(value)(*(_map(part, change, kind) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(_map(part, change, kind) for part in value)
    return value
