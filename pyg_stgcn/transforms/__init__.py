"""Transforms of skeleton clips, for the ``transform`` and ``pre_transform`` of datasets."""

from pyg_stgcn.transforms.augment import RandomRotation, RandomScaling
from pyg_stgcn.transforms.normalize import PreNormalize2D, PreNormalize3D
from pyg_stgcn.transforms.persons import PadPersons
from pyg_stgcn.transforms.pipeline import standard_transform
from pyg_stgcn.transforms.sample import UniformSample
from pyg_stgcn.transforms.stream import STREAMS, ToStream, parse_streams

__all__ = [
    "STREAMS",
    "PadPersons",
    "PreNormalize2D",
    "PreNormalize3D",
    "RandomRotation",
    "RandomScaling",
    "ToStream",
    "UniformSample",
    "parse_streams",
    "standard_transform",
]
