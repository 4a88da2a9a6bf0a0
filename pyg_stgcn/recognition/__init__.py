"""From raw poses to named predictions."""

from pyg_stgcn.recognition.description import describe, save_prepare
from pyg_stgcn.recognition.engine_file import engine_bytes, save_engine
from pyg_stgcn.recognition.engine_folder import save_engine_folder
from pyg_stgcn.recognition.events import Event, EventRules
from pyg_stgcn.recognition.model_file import save
from pyg_stgcn.recognition.pose_stream import Stream, StreamAnswer
from pyg_stgcn.recognition.prediction import Prediction
from pyg_stgcn.recognition.predictor import Recognizer
from pyg_stgcn.recognition.published import published_recognizer

__all__ = [
    "Event",
    "EventRules",
    "Prediction",
    "Recognizer",
    "Stream",
    "StreamAnswer",
    "describe",
    "engine_bytes",
    "published_recognizer",
    "save",
    "save_engine",
    "save_engine_folder",
    "save_prepare",
]
