"""The files of a run: their names, and their places in its folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from pyg_stgcn.errors import InputError
from pyg_stgcn.text import suggestion

_CONFIG = "config.toml"
_CHECKPOINTS = "checkpoints"


def resume_command(folder: Path, num_nodes: int = 1) -> str:
    """The command that continues a run, on one machine or several, for messages."""
    command = f"'pyg-stgcn train --resume --out {shlex.quote(str(folder))}'"
    return command if num_nodes == 1 else f"{command} and the same options on all machines"


def run_folder_of(path: Path) -> Path:
    """The run directory that a file of weights or a checkpoint would belong to.

    Example:
        >>> run_folder_of(Path("runs/a/checkpoints/best.ckpt"))
        PosixPath('runs/a')
    """
    return path.parent.parent if path.parent.name == _CHECKPOINTS else path.parent


@dataclass(frozen=True)
class RunFiles:
    """Paths of the files of a run, whether the files exist or not.

    The names of results of a checkpoint, or on other data, contain its name, such as
    ``evaluation-best.json``.

    Args:
        folder: The run directory.
        checkpoint: ``"best"`` or ``"last"`` for results of that checkpoint (default: of the final
            weights).
        data_name: Name of the data that results are of (default: the run's own validation clips).

    Example:
        >>> RunFiles(Path("runs/a")).last_checkpoint
        PosixPath('runs/a/checkpoints/last.ckpt')
        >>> RunFiles(Path("runs/a"), checkpoint="best").evaluation
        PosixPath('runs/a/evaluation-best.json')
    """

    folder: Path
    checkpoint: str | None = field(default=None, kw_only=True)
    data_name: str | None = field(default=None, kw_only=True)

    @property
    def config_file(self) -> Path:
        """The options, and metadata of the data and the software; comes before all other files."""
        return self.folder / _CONFIG

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / _CHECKPOINTS

    @property
    def last_checkpoint(self) -> Path:
        """State of the training after the last finished epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before the last, used if the last is damaged."""
        return self.checkpoints / "previous.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """Weights of the epoch with the best validation; of sparse runs, at their full sparsity."""
        return self.checkpoints / "best.ckpt"

    @property
    def metrics(self) -> Path:
        """Table with one row for each epoch."""
        return self.folder / "metrics.csv"

    @property
    def curves(self) -> Path:
        """Figure of the metrics."""
        return self.folder / "curves.png"

    @property
    def weights(self) -> Path:
        """Final weights; written just before the summary."""
        return self.folder / "model.safetensors"

    @property
    def sparse_weights(self) -> Path:
        """The same weights of a sparse run, without its zeros."""
        return self.folder / "model.sparse.safetensors"

    @property
    def masks(self) -> Path:
        """Masks that a sparse run was trained with."""
        return self.folder / "masks.safetensors"

    def early_weights(self, epoch: int) -> Path:
        """Weights of a dense run after an epoch, to start a ticket from."""
        return self.folder / f"epoch{epoch}.safetensors"

    @property
    def summary(self) -> Path:
        """The result of the training; its last file."""
        return self.folder / "summary.json"

    def _result(self, name: str, kind: str) -> Path:
        parts = [part for part in (name, self.checkpoint, self.data_name) if part]
        return self.folder / f"{'-'.join(parts)}.{kind}"

    @property
    def evaluation(self) -> Path:
        """Metrics of an evaluation."""
        return self._result("evaluation", "json")

    @property
    def predictions(self) -> Path:
        """Class probabilities of all clips."""
        return self._result("predictions", "npz")

    @property
    def held_out_predictions(self) -> Path:
        """Class probabilities of the training clips that were held out."""
        return self._result("predictions-held-out", "npz")

    @property
    def predicted_classes(self) -> Path:
        """Table of the most probable class of each clip."""
        return self._result("predictions", "csv")

    def confusion(self, kind: str) -> Path:
        """Confusion matrix, as ``csv`` or ``png``."""
        return self._result("confusion", kind)

    def subsets(self, kind: str) -> Path:
        """Evaluation of the subsets of an assembly's experts, as ``json``, ``csv`` or ``png``."""
        return self._result("assembly", kind)

    def robustness(self, variant: str, kind: str) -> Path:
        """Evaluation on corrupted clips, as ``json``, ``csv`` or ``png``.

        Args:
            variant: Corruption and repair, such as ``"-0.75-block"``; empty for all corruptions.
            kind: Ending of the name.
        """
        return self._result(f"robustness{variant}", kind)

    def stream(self, kind: str) -> Path:
        """Evaluation on streams, as ``json``, ``csv`` or ``png``."""
        return self._result("stream", kind)

    def bench(self, kind: str) -> Path:
        """Time and memory by several backends, as ``csv``, ``json`` or ``png``."""
        return self.folder / f"bench.{kind}"

    @property
    def is_started(self) -> bool:
        """Whether the folder holds a run that can be continued."""
        return self.config_file.exists()

    def check_is_run(self) -> None:
        """Check that the folder holds a run.

        Raises:
            InputError: The folder is missing, or has no configuration.
        """
        if not self.folder.is_dir():
            beside = self.folder.absolute().parent
            names = [path.name for path in beside.iterdir()] if beside.is_dir() else []
            raise InputError(
                f"{self.folder}: no such folder{suggestion(self.folder.name, names)}; name the "
                "folder of a training run"
            )
        if not self.config_file.exists():
            raise InputError(f"{self.folder}: no {_CONFIG}; name the folder of a training run")

    @property
    def is_finished(self) -> bool:
        """Whether the run has a result."""
        return self.summary.exists()
