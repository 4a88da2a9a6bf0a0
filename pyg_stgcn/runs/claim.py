"""Exclusive use of a run directory: one training at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import leftovers, remove_leftovers
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.processes import is_first_process
from pyg_stgcn.runs.run_files import RunFiles, resume_command

_LOCK = ".lock"
#: Seconds to wait for the lock: after a training was killed, its processes that load data hold the
#: lock for some seconds.
PATIENCE = 10.0


def never_began(folder: Path) -> bool:
    """Whether a folder holds no run.

    It is missing, empty, or was left by a training that was killed before it wrote its
    configuration.
    """
    if not folder.is_dir():
        return not folder.exists()
    files = RunFiles(folder)
    ours = {folder / _LOCK, *leftovers(files.config_file)}
    checkpoints = files.checkpoints
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        ours.add(checkpoints)
    return all(path in ours for path in folder.iterdir())


@contextmanager
def claimed(run: Run, *, resume: bool) -> Iterator[None]:
    """Lock the folder of a run against other trainings within the context; create it if needed.

    The operating system releases the lock when the process ends, even by a kill. Nothing else is
    written to the folder, see :func:`prepare_folder`.

    Args:
        run: About to be trained.
        resume: Whether the folder may already hold a run.

    Raises:
        InputError: The folder is in use, is not empty, or cannot be written.
    """
    _check_free(run.folder, resume)
    lock = FileLock(run.folder / _LOCK)
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise InputError(
            f"{run.folder}: another training is running in this folder; wait for its end, "
            "stop it, or name another folder"
        ) from None
    except OSError as error:
        raise _not_writable(run, error) from None
    try:
        _check_free(run.folder, resume)
        yield
    finally:
        lock.release()


def check_folder(config: TrainOptions, folder: Path, *, resume: bool) -> None:
    """Check the folder of a run before its data are opened, which may take long.

    Args:
        config: Options of the run.
        folder: The run directory.
        resume: As for :func:`claimed`.

    Raises:
        InputError: The folder is not empty, or is a file.
    """
    # Another process of the same training may have written to it already.
    if is_first_process(config.hardware.num_nodes):
        _check_free(folder, resume)


def _check_free(folder: Path, resume: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder")
    if not resume and not never_began(folder):
        raise InputError(
            f"{folder}: is not empty; continue the run in it with "
            f"{resume_command(folder)}, or name another folder"
        )


def prepare_folder(run: Run) -> None:
    """Write the configuration of a run that starts or continues into its claimed folder.

    Temporary files that a killed training has left in the folder are deleted.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        for path in run.written_in_training:
            remove_leftovers(path)
        run.save_config()
        run.checkpoints.mkdir(exist_ok=True)
    except OSError as error:
        raise _not_writable(run, error) from None


def _not_writable(run: Run, error: OSError) -> InputError:
    return InputError(f"{run.folder}: cannot be written ({error.strerror}); name another folder")
