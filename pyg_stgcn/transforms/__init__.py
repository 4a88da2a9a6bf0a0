"""Transforms of skeleton clips, for the ``transform`` and ``pre_transform`` of datasets."""

from pyg_stgcn.names import MODES, SEVERITIES, STREAMS, parse_streams
from pyg_stgcn.transforms.augment import (
    GaussianNoise,
    RandomMirror,
    RandomRotation,
    RandomScaling,
)
from pyg_stgcn.transforms.corrupt import JointDropout, TemporalCorruption
from pyg_stgcn.transforms.normalize import PreNormalize2D, PreNormalize3D
from pyg_stgcn.transforms.persons import PadPersons
from pyg_stgcn.transforms.pipeline import standard_transform
from pyg_stgcn.transforms.plane import DropScore, ToFractions
from pyg_stgcn.transforms.repair import Interpolate
from pyg_stgcn.transforms.sample import UniformSample
from pyg_stgcn.transforms.stream import ToStream
from pyg_stgcn.transforms.tempo import RandomSpeed, TemporalCrop

__all__ = [
    "MODES",
    "SEVERITIES",
    "STREAMS",
    "DropScore",
    "GaussianNoise",
    "Interpolate",
    "JointDropout",
    "PadPersons",
    "PreNormalize2D",
    "PreNormalize3D",
    "RandomMirror",
    "RandomRotation",
    "RandomScaling",
    "RandomSpeed",
    "TemporalCorruption",
    "TemporalCrop",
    "ToFractions",
    "ToStream",
    "UniformSample",
    "parse_streams",
    "standard_transform",
]
