"""Jobs: the trainings of a study, each a call of ``pyg-stgcn train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.options import OPTIONS, PLACEMENT, TrainOptions
from pyg_stgcn.runs.paths import with_absolute_paths, with_root
from pyg_stgcn.runs.recipe import FILLED_IN
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.studies.training_process import resumed
from pyg_stgcn.text import shell_word


@dataclass(frozen=True)
class Job:
    """One call of ``pyg-stgcn train``.

    Args:
        label: Prefix of its lines of progress.
        folder: The run directory.
        options: Values of the command's options, by their names in :class:`TrainOptions`.
    """

    label: str
    folder: Path
    options: dict[str, Any]

    @property
    def files(self) -> RunFiles:
        """The files of the run."""
        return RunFiles(self.folder)

    @property
    def first_words(self) -> list[str]:
        """Arguments that start the run.

        Paths in them are absolute, so they hold in any working directory.
        """
        words = ["train"]
        for name, value in with_root(self.options).items():
            flag = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            elif value is False:
                words.append(f"--no-{flag.removeprefix('--')}")
            elif isinstance(value, list):
                words += [flag, *map(str, value)]
            elif isinstance(value, dict):
                words += [word for key in value for word in (flag, f"{key}={value[key]}")]
            else:
                words += [flag, str(value)]
        return [*words, "--out", str(self.folder.absolute())]

    @property
    def words(self) -> list[str]:
        """Arguments that start the run, or resume it if it has been started."""
        return resumed(self.first_words, self.folder)

    @property
    def command(self) -> str:
        """The same as a line of a shell."""
        return " ".join(map(shell_word, ["pyg-stgcn", *self.words]))

    def is_finished(self) -> bool:
        """Whether the run is complete.

        Raises:
            InputError: The folder holds a run with other options.
        """
        if not self.files.is_started:
            return False
        found = with_absolute_paths(load_config(self.files.config_file)[0]).flat()
        for name, value in with_absolute_paths(TrainOptions.of(**self.options)).flat().items():
            if name in PLACEMENT or (value is None and name in FILLED_IN):
                continue
            if found[name] != value:
                raise InputError(
                    f"{self.folder}: holds a run with {OPTIONS[name].flag} {found[name]}, not "
                    f"{value}; name another folder"
                )
        return self.files.is_finished
