"""From raw poses to named predictions."""

from pyg_stgcn.recognition.description import describe, save_prepare
from pyg_stgcn.recognition.model_file import save
from pyg_stgcn.recognition.prediction import Prediction
from pyg_stgcn.recognition.predictor import Recognizer

__all__ = ["Prediction", "Recognizer", "describe", "save", "save_prepare"]
