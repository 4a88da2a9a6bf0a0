"""The transforms of a training for a whole batch of clips at once, on any device."""

from pyg_stgcn.transforms.batched.batch_transform import BatchTransform, DrawnClip, RawBatch

__all__ = ["BatchTransform", "DrawnClip", "RawBatch"]
