"""From raw poses to named predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.lazy import import_on_first_use
from pyg_stgcn.recognition.events import Event, EventRules
from pyg_stgcn.recognition.pose_stream import Stream, StreamAnswer
from pyg_stgcn.recognition.prediction import Prediction
from pyg_stgcn.recognition.predictor import Recognizer

if TYPE_CHECKING:
    from pyg_stgcn.recognition.description import describe, save_prepare
    from pyg_stgcn.recognition.engine_file import engine_bytes, save_engine
    from pyg_stgcn.recognition.engine_folder import save_engine_folder
    from pyg_stgcn.recognition.model_file import save
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

# Models in memory need torch; those of the engine do not.
__getattr__ = import_on_first_use(
    __name__,
    {
        "describe": "pyg_stgcn.recognition.description",
        "engine_bytes": "pyg_stgcn.recognition.engine_file",
        "published_recognizer": "pyg_stgcn.recognition.published",
        "save": "pyg_stgcn.recognition.model_file",
        "save_engine": "pyg_stgcn.recognition.engine_file",
        "save_engine_folder": "pyg_stgcn.recognition.engine_folder",
        "save_prepare": "pyg_stgcn.recognition.description",
    },
)
