"""Batches for training and evaluation; they do not depend on the number of workers or devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch.utils.data import Sampler
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader, ImbalancedSampler
from torch_geometric.transforms import BaseTransform, Compose

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.augmentation import make_augmentations
from pyg_stgcn.runs.stream_context import StreamContext
from pyg_stgcn.transforms import standard_transform
from pyg_stgcn.transforms.batched import BatchTransform, DrawnClip, RawBatch

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions


def split_held_out(
    dataset: SkeletonDataset, fraction: float
) -> tuple[SkeletonDataset, SkeletonDataset]:
    """Divide training clips into clips to train on and held-out clips.

    The split is stratified by class, and does not depend on the seed of the run. Persons of one
    clip stay together.

    Args:
        dataset: The training clips.
        fraction: Fraction to hold out, in (0, 1).

    Raises:
        InputError: Some class would have no clips in one of the parts.
    """
    clips = dataset.clip_numbers
    first = np.flatnonzero(np.diff(clips, prepend=-1))  # The first person of every clip.
    try:
        kept, _ = train_test_split(
            first, test_size=fraction, stratify=dataset.labels[first], random_state=0
        )
    except ValueError as error:
        raise InputError(
            f"hold_out {fraction:g} of {len(dataset)} training clips: {error}; choose another "
            "fraction"
        ) from None
    is_kept = np.isin(clips, clips[kept])
    return dataset.copy(np.flatnonzero(is_kept)), dataset.copy(np.flatnonzero(~is_kept))


def clip_transform(
    config: TrainOptions,
    dataset: SkeletonDataset,
    *,
    train: bool,
    num_views: int,
    extra: Sequence[BaseTransform] = (),
    context: int = 0,
) -> Compose:
    """Transform from a stored clip to the input of the model.

    Args:
        config: Complete, as :meth:`TrainOptions.with_recipe` leaves it.
        dataset: The clips.
        train: Whether to augment, and to sample at random.
        num_views: Number of samples of each clip.
        extra: Further steps after the normalisation and the augmentations.
        context: Frames of other clips before and after the window of a clip, see
            :class:`~pyg_stgcn.runs.stream_context.StreamContext`; without them, frames are sampled
            from the whole clip.

    Raises:
        InputError: An augmentation is unknown, out of range, or does not fit the skeleton.
    """
    assert config.data.clip_frames is not None, "the configuration lacks its recipe"
    augmentations = make_augmentations(config.data.augment, dataset.skeleton) if train else []
    steps = [*augmentations, *extra]

    def pipeline(frames: int, steps: list[BaseTransform]) -> Compose:
        return standard_transform(
            dataset.skeleton,
            stream=config.data.stream,
            clip_frames=frames,
            train=train,
            num_views=num_views,
            has_score=dataset.has_score,
            rotation=config.data.rotation,
            scaling=config.data.scaling,
            scale=config.data.scale,
            use_score=config.data.use_score,
            fractions=config.data.fractions,
            num_persons=config.data.pad_persons,
            extra=steps,
        )

    window = config.data.clip_frames
    made = pipeline(window, steps)
    if not context:
        return made
    others = dataset.copy()
    others.transform = Compose(made.transforms[: 1 + len(steps)])
    # Of the frames that it leaves, the sampling takes all.
    return pipeline(
        window + 2 * context, [*steps, StreamContext(others, window, context, train=train)]
    )


class EpochSampler(Sampler[tuple[int, ...]]):
    """Draws ``(epoch, clip)`` pairs in an order that depends only on the seed and the epoch.

    With several processes, process ``rank`` gets every ``world_size``-th clip of this order. A step
    then sees the same clips as in one process with the same global batch.

    Args:
        num_clips: Clips of the dataset.
        seed: Seed of the order.
        shuffle: Whether to draw a new order for each epoch.
        rank: Rank of this process.
        world_size: Number of processes.
        step: Clips of a step, over all processes (default: one a process). If fewer than one a
            process are left for the last step, a shuffled order is filled up from its start, so
            that all processes take the same number of steps. Otherwise every clip is drawn once.
    """

    def __init__(
        self,
        num_clips: int,
        seed: int,
        *,
        shuffle: bool,
        rank: int = 0,
        world_size: int = 1,
        step: int | None = None,
    ) -> None:
        self.num_clips = num_clips
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        left = num_clips % (step or world_size)
        #: Number of clips that are drawn again for the last step.
        self.repeated = max(0, world_size - left) if shuffle and left else 0
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.num_clips + self.repeated, self.world_size))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        order = np.arange(self.num_clips)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
            order = np.resize(order, self.num_clips + self.repeated)
        return ((self.epoch, int(clip)) for clip in order[self.rank :: self.world_size])


class BalancedSampler(EpochSampler):
    """Draws clips of all classes equally often, also of rare classes.

    An epoch draws as many clips as the dataset has, with replacement
    (:class:`torch_geometric.loader.ImbalancedSampler`). The key of a clip ends with the number of
    its draw: a clip that is drawn twice in an epoch is augmented in two ways.

    Args:
        labels: Class of every clip ``[N]``.
        seed: Seed of the draws, together with the epoch.
        rank: Rank of this process.
        world_size: Number of processes; they divide the draws as in :class:`EpochSampler`.
        step: As for :class:`EpochSampler`.
    """

    def __init__(
        self,
        labels: NDArray[np.integer],
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        step: int | None = None,
    ) -> None:
        super().__init__(
            len(labels), seed, shuffle=True, rank=rank, world_size=world_size, step=step
        )
        self._draws = ImbalancedSampler(torch.as_tensor(labels, dtype=torch.long))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        state = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)
        self._draws.generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        keys = [(self.epoch, clip, number) for number, clip in enumerate(self._draws)]
        keys += (keys * self.repeated)[: self.repeated]
        return iter(keys[self.rank :: self.world_size])


class SeededClips(torch.utils.data.Dataset[Data]):
    """A dataset whose random transforms depend only on its seed and the key of a sampler."""

    def __init__(self, dataset: SkeletonDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, ...]) -> Data:
        with _seeded(self.seed, key):
            return self.dataset[key[1]]


class DrawnClips(torch.utils.data.Dataset[DrawnClip]):
    """The clips of a dataset as they are stored, with the random numbers of their transforms; the
    same numbers as those of :class:`SeededClips`.
    """

    def __init__(self, dataset: SkeletonDataset, seed: int, transform: BatchTransform) -> None:
        self.dataset = dataset
        self.seed = seed
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, ...]) -> DrawnClip:
        with _seeded(self.seed, key):
            return self.transform.draw(self.dataset.clip(key[1]))


@contextmanager
def _seeded(seed: int, key: Sequence[int]) -> Iterator[None]:
    """Seed torch's global generator for one clip."""
    state = np.random.SeedSequence([seed, *key]).generate_state(1, np.uint64)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed seeds all kinds of devices too, which takes a quarter of the time to
        # load a clip.
        torch.default_generator.manual_seed(int(state[0] >> np.uint64(1)))
        yield


def make_loader(
    dataset: SkeletonDataset,
    batch_size: int,
    seed: int,
    *,
    shuffle: bool,
    balanced: bool = False,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    transform: BatchTransform | None = None,
) -> torch.utils.data.DataLoader[Any]:
    """A loader of PyG batches.

    Args:
        dataset: Clips, all of the same length after their transform.
        batch_size: Clips of a batch of one process.
        seed: Seed of the order and of the random transforms.
        shuffle: Whether to draw a new order for each epoch.
        balanced: Whether to draw the clips with :class:`BalancedSampler` instead.
        num_workers: Processes that prepare batches.
        rank: Rank of this process.
        world_size: Number of processes that divide the clips.
        transform: The transform of the clips for whole batches. The loader then gives stored clips,
            :class:`~pyg_stgcn.transforms.batched.RawBatch`; the caller applies the transform to
            them on the device. That of the dataset is not used.
    """
    places = {"rank": rank, "world_size": world_size, "step": batch_size * world_size}
    if balanced:
        sampler: EpochSampler = BalancedSampler(dataset.labels, seed, **places)
    else:
        sampler = EpochSampler(len(dataset), seed, shuffle=shuffle, **places)
    options: dict[str, Any] = {
        "batch_size": batch_size,
        "sampler": sampler,
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": torch.cuda.is_available(),
    }
    if transform is None:
        return DataLoader(SeededClips(dataset, seed), **options)
    drawn = DrawnClips(dataset, seed, transform)
    return torch.utils.data.DataLoader(drawn, collate_fn=transform.collate, **options)


def batch_transform(config: TrainOptions, dataset: SkeletonDataset) -> BatchTransform | None:
    """The transform of a dataset for whole batches, if the options ask for it.

    Raises:
        InputError: A transform works on single clips only.
    """
    return BatchTransform(dataset.transform) if config.hardware.device_transforms else None


def input_batch(
    batch: Batch | RawBatch, transform: BatchTransform | None, device: torch.device | str
) -> Batch:
    """The batch of a loader on a device, transformed there if its clips are not yet."""
    moved = batch.to(device)
    return moved if transform is None else transform(moved)
