"""Training of models: the Lightning module, callbacks, masks and pretrained weights."""

from pyg_stgcn.training.recognizer import ActionRecognizer, TrainingDivergedError
from pyg_stgcn.training.runner import train
from pyg_stgcn.training.sparsity_callback import SparsityCallback

__all__ = ["ActionRecognizer", "SparsityCallback", "TrainingDivergedError", "train"]
