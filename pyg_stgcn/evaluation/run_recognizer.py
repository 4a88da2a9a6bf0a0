"""The trained model of a run or of an exported file, for raw poses and streams."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.engine import MODEL_FILE
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.recognition import Recognizer
from pyg_stgcn.recognition.engine_models import load_engine

_OTHERS = {".onnx": "an ONNX file, for other runtimes", ".pt2": "a PT2 file, for torch.export"}
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".tar")


def open_recognizer(
    path: str | os.PathLike[str], *, checkpoint: str | None = None, threads: int | None = None
) -> Recognizer:
    """Open a trained model.

    Args:
        path: The folder of a run, or a file or folder of ``pyg-stgcn export``.
        checkpoint: ``"best"`` or ``"last"`` for the weights of that checkpoint of a run, also of
            an unfinished one (default: the final weights).
        threads: Threads of a pass, see :meth:`~pyg_stgcn.recognition.Recognizer.load`.

    Raises:
        InputError: There is no such model, or it cannot be read.

    Example:
        >>> open_recognizer("runs/mine").predict("hand.json").label
        'wave'
    """
    path = find_model(Path(path), checkpoint)
    if path.is_dir():
        # PyTorch is needed for runs, not for files of the engine.
        from pyg_stgcn.runs import Run

        run = Run.open(path, checkpoint)
        model = run.load_model()
        found = Recognizer.from_model(
            model,
            run.classes,
            run.preprocessing,
            threads=threads,
            temperature=run.temperature,
        )
        return replace(found, trained_per_person=run.config.data.per_person)
    return Recognizer.load(path, threads=threads)


def open_engine(path: str | os.PathLike[str], *, checkpoint: str | None = None) -> Engine:
    """Open a trained model in the engine; see :func:`open_recognizer`.

    Raises:
        InputError: There is no such model, it cannot be read, or the library of the engine is
            missing.

    Example:
        >>> stream = Stream(open_engine("runs/mine"), image_size=(480, 640))
    """
    library()  # If it is missing, the error comes before the work.
    path = find_model(Path(path), checkpoint)
    if not path.is_dir():
        return load_engine(path)
    # PyTorch is needed to compile, and only for this.
    from pyg_stgcn.recognition import engine_bytes
    from pyg_stgcn.runs import Run

    run = Run.open(path, checkpoint)
    model = run.load_model()
    return Engine.from_bytes(engine_bytes(model, run.classes, run.preprocessing, run.temperature))


def find_model(path: Path, checkpoint: str | None) -> Path:
    """The folder of a run, or an exported file.

    Args:
        path: That, or the folder of an exported model.
        checkpoint: A checkpoint of a run.

    Raises:
        InputError: It is none of them, or a file for other programs.
    """
    if not path.exists():
        raise InputError(
            f"{path}: there is no such file or folder; name a run, or a file of 'pyg-stgcn export'"
        )
    if (path / MODEL_FILE).is_file():
        path /= MODEL_FILE
    if path.is_dir():
        return path
    if checkpoint is not None:
        raise InputError(
            f"checkpoint {checkpoint!r}: {path} is a file, which has one set of weights; leave it "
            "out, or name the run"
        )
    if (kind := _OTHERS.get(path.suffix.lower())) is not None:
        raise InputError(
            f"{path}: is {kind}; name the run, or a file that 'pyg-stgcn export' writes without "
            "--format"
        )
    if path.suffix.lower() in _CHECKPOINTS:
        raise InputError(
            f"{path}: is a PyTorch checkpoint; give a published one as init, with the name of its "
            "model, and leave the run out"
        )
    return path
