"""Methods of models that are kept in folders and in repositories of the Hugging Face Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_stgcn.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self


class HubMixin:
    """Saving and loading as other libraries do it: ``config.json``, ``model.safetensors`` and a
    model card. No pickle is written or read.
    """

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        classes: Sequence[str] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        results: Mapping[str, float] | None = None,
    ) -> Path:
        """Writes the model to a folder, which :meth:`from_pretrained` reads.

        Args:
            folder (path): The folder; it is made if needed, its files of the same names are
                replaced.
            classes (sequence of str, optional): Names of the classes, for
                :meth:`~pyg_stgcn.recognition.Recognizer.from_pretrained`.
            preprocessing (dict, optional): Options of
                :func:`~pyg_stgcn.transforms.standard_transform` in the training, for the same.
            results (dict, optional): Measured results, such as ``{"top-1 accuracy, xsub": 0.893}``,
                for the model card.

        Returns:
            Path: The folder.

        Raises:
            InputError: If the model has masks or is of a class that is not registered, or the
                folder cannot be written.

        Example:
            >>> run = Run.open("runs/mine")
            >>> model = run.load_model()
            >>> model.save_pretrained("mine", classes=run.classes, preprocessing=run.preprocessing)
        """
        from pyg_stgcn.models.hub import write_folder

        return write_folder(self, Path(folder), classes, preprocessing, results)

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike[str], *, revision: str | None = None, **download: Any
    ) -> Self:
        """Reads a model from a folder or from the Hugging Face Hub.

        Args:
            source (path): A folder of :meth:`save_pretrained`, or a repository such as
                ``"user/gestures"``, which is fetched once (extra ``hub``).
            revision (str, optional): Branch, tag or commit of the repository.
            **download: Other options of :func:`huggingface_hub.snapshot_download`, such as
                ``token``, ``cache_dir`` and ``local_files_only``.

        Raises:
            InputError: If it cannot be fetched or read, or holds a model of another class.
        """
        from pyg_stgcn.models.hub import fetch_folder, read_folder

        model, _ = read_folder(fetch_folder(source, revision=revision, **download))
        if not isinstance(model, cls):
            raise InputError(
                f"{source}: holds {type(model).__name__}, not {cls.__name__}; load it with "
                f"{type(model).__name__}.from_pretrained"
            )
        return model

    def push_to_hub(
        self,
        repo_id: str,
        *,
        classes: Sequence[str] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        results: Mapping[str, float] | None = None,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str = "Model of pyg-stgcn",
    ) -> str:
        """Uploads the model to a repository of the Hugging Face Hub (extra ``hub``).

        Args:
            repo_id (str): The repository, such as ``"user/gestures"``; it is made if needed.
            classes (sequence of str, optional): See :meth:`save_pretrained`.
            preprocessing (dict, optional): See :meth:`save_pretrained`.
            results (dict, optional): See :meth:`save_pretrained`.
            private (bool, optional): Whether a new repository is private.
            token (str, optional): Access token (default: that of ``hf auth login``).
            revision (str, optional): Branch to upload to.
            commit_message (str): Message of the commit.

        Returns:
            str: Address of the commit.

        Raises:
            InputError: As :meth:`save_pretrained`, or if the upload fails.
        """
        from pyg_stgcn.models.hub import upload

        return upload(
            lambda folder: self.save_pretrained(
                folder, classes=classes, preprocessing=preprocessing, results=results
            ),
            repo_id,
            private=private,
            token=token,
            revision=revision,
            commit_message=commit_message,
        )
