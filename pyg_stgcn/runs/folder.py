"""A training run: its directory, its options, and its trained model."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from pyg_stgcn.checked import brief, check_entries
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.finite import check_finite
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.models.weights import read_weights, with_weights
from pyg_stgcn.runs.checkpoint import TrainedState, read_trained_state
from pyg_stgcn.runs.config_file import RESTORE, load_config, save_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.run_files import RunFiles, resume_command
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import (
    check_masks,
    kept_weights,
    load_sparse,
    save_sparse,
)

#: Types of the metadata of a run: of its data, and of its ticket if it was started from one.
_OF_DATA = {"skeleton": dict, "classes": list[str], "in_channels": int}
_OF_LATER_DATA = {"has_score": bool}
_OF_TICKET = {"include": str | None, "exclude": str, "structure": str, "unmasked": list[str]}
#: Remedy for weights that are not finite.
DIVERGED = (
    "train again with a lower learning rate, and check the data with 'pyg-stgcn datasets info'"
)


@dataclass(frozen=True)
class Run(RunFiles):
    """A training run: its directory, its options and the metadata of its data.

    Example:
        >>> run = Run.open("runs/dense")
        >>> model = run.load_model()
        >>> logits = model(clip.x)

    Args:
        folder: The run directory.
        config: The options of the training.
        skeleton: The skeleton of the data.
        classes: Names of the classes, in label order.
        in_channels: Channels of the model's input.
        metadata: Rest of the configuration file: data, versions, ticket.
        checkpoint: ``"best"`` or ``"last"`` for the weights and masks of that checkpoint, which
            exists before the run is finished (default: the final weights).
    """

    config: TrainOptions
    skeleton: Skeleton
    classes: list[str]
    in_channels: int
    metadata: dict[str, Any]

    @property
    def frames(self) -> int:
        """Frames of the clips that the model sees."""
        assert self.config.data.clip_frames is not None, "the configuration lacks its recipe"
        return self.config.data.clip_frames

    @property
    def mask_options(self) -> dict[str, Any]:
        """``include``, ``exclude`` and ``structure`` of the masks, or those of the ticket."""
        ticket = self.metadata.get("ticket", {})
        own = self.config.flat()
        names = ("include", "exclude", "structure")
        return {name: ticket.get(name, own[name]) for name in names}

    @property
    def maskable(self) -> dict[str, Any]:
        """Selection of maskable parameters, as arguments of :func:`pyg_stgcn.sparsity.report`."""
        found = self.config.replace(ticket=None, redraw=False, **self.mask_options).maskable
        left_out = self.metadata.get("ticket", {}).get("unmasked", ())
        return {**found, "exclude": (*found["exclude"], *left_out)}

    @property
    def written_in_training(self) -> list[Path]:
        """All files that a training can write, whether they exist or not."""
        checkpoints = [self.last_checkpoint, self.previous_checkpoint, self.best_checkpoint]
        results = [self.metrics, self.curves, self.weights, self.sparse_weights, self.masks]
        results += [self.predictions, self.held_out_predictions, self.summary]
        results += [self.subsets(kind) for kind in ("json", "csv", "png")]
        if (epoch := self.config.sparsity.save_epoch) is not None:
            results.append(self.early_weights(epoch))
        return [self.config_file, *checkpoints, *results]

    @classmethod
    def open(cls, folder: str | Path, checkpoint: str | None = None) -> Run:
        """Read a run directory.

        Args:
            folder: The run directory.
            checkpoint: As in the class.

        Raises:
            InputError: The folder is missing or does not hold a run.
        """
        folder = Path(folder)
        RunFiles(folder).check_is_run()
        with contextlib.suppress(OSError):  # Files of a folder may be readable, but not its list.
            for path in folder.iterdir():
                check_is_file(path)
        path = RunFiles(folder).config_file
        config, metadata = load_config(path)
        check_entries(metadata, {"data": dict}, path, RESTORE, "metadata.")
        data = metadata["data"]
        check_entries(data, _OF_DATA, path, RESTORE, "metadata.data.")
        check_entries(data, _OF_LATER_DATA, path, RESTORE, "metadata.data.", all_needed=False)
        ticket = metadata.get("ticket", {})
        check_entries(ticket, _OF_TICKET, path, RESTORE, "metadata.ticket.", all_needed=False)
        try:
            skeleton = Skeleton.from_dict(data["skeleton"])
        except InputError as error:
            raise InputError(f"{path}: metadata.data.skeleton: {brief(error)}; {RESTORE}") from None
        classes, in_channels = data["classes"], data["in_channels"]
        return cls(folder, config, skeleton, classes, in_channels, metadata, checkpoint=checkpoint)

    def save_config(self) -> None:
        """Write the configuration file."""
        save_config(self.config_file, self.config, self.metadata)

    def build_model(self) -> nn.Module:
        """The untrained, dense model of this run."""
        backbones = [
            create_model(name, len(self.classes), self.skeleton, **self.options)
            for name in self.backbones
        ]
        if not self.config.model.levels:
            return backbones[0]
        return Assembly(backbones, learned_weights=self.config.model.learned_weights)

    @property
    def backbones(self) -> list[str]:
        """Name of the backbone, or names of the experts' backbones."""
        if not self.config.model.levels:
            return [self.config.model.backbone]
        assert self.config.model.experts is not None
        return list(self.config.model.experts)

    @property
    def options(self) -> dict[str, Any]:
        """The options of all backbones."""
        partitions = self.config.model.partitions
        return {
            "in_channels": self.in_channels,
            "base_channels": self.config.model.channels,
            "graph": self.config.model.graph,
            "dropout": self.config.model.dropout,
            "num_stages": self.config.model.stages,
            "inflate_stages": self.config.model.inflate_stages,
            "down_stages": self.config.model.down_stages,
            **({} if partitions is None else {"num_partitions": partitions}),
        }

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The options of :func:`~pyg_stgcn.transforms.standard_transform` for new clips.

        Raises:
            InputError: The run is of an earlier version and does not say all.
        """
        if "has_score" not in self.metadata["data"]:
            raise InputError(
                f"{self.config_file}: does not say whether joints have scores; it is of an "
                "earlier version, train the run again"
            )
        return {
            "stream": self.config.data.stream,
            "clip_frames": self.frames,
            "has_score": self.metadata["data"]["has_score"],
            "scale": self.config.data.scale,
            "use_score": self.config.data.use_score,
            "fractions": self.config.data.fractions,
            "num_persons": self.config.data.pad_persons,
        }

    @property
    def temperature(self) -> float:
        """Number that divides the logits before the softmax, so that probabilities are calibrated.

        It is 1 if it was not fitted: the run had no clips for it, is not finished, or the weights
        are those of a checkpoint.

        Raises:
            InputError: The summary is damaged.
        """
        if self.checkpoint is not None or not self.is_finished:
            return 1.0
        remedy = "train the run again"
        summary = read_json(self.summary, remedy)
        check_entries(summary, {"temperature": float}, self.summary, remedy, all_needed=False)
        found: float = summary.get("temperature", 1.0)
        if found <= 0:
            raise InputError(f"{self.summary}: temperature is {found:g}, not above 0; {remedy}")
        return found

    def save_weights(self, model: nn.Module, *, sparse: bool) -> None:
        """Write the trained weights; of sparse runs also a smaller file without the zeros.

        Raises:
            InputError: Some weights are not finite: the training has diverged.
        """
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        check_finite(state, self.folder, DIVERGED)
        write_atomically(self.weights, lambda file: save_file(state, file))
        if sparse:
            save_sparse(self.sparse_weights, state)

    def save_masks(self, model: nn.Module) -> None:
        """Write the masks of a model."""
        masks = kept_weights(model)
        save_sparse(self.masks, {name: mask.cpu() for name, mask in masks.items()})

    def load_masks(self, model: nn.Module) -> dict[str, Tensor]:
        """Masks that the model of this run was trained with, or those of the checkpoint.

        They are counted, and not its zeros: kept weights may be zero too. Dense runs have none.

        Args:
            model: See :meth:`load_model`.

        Raises:
            InputError: The file of the masks is damaged, or is that of another model.
        """
        if self.checkpoint is not None:
            masks = self._trained_state.masks
        else:
            masks = load_sparse(self.masks)[0] if self.masks.exists() else {}
        try:
            return check_masks(model, masks)
        except InputError as error:
            raise InputError(
                f"{self.masks}: not the masks of this run ({error}); delete the file to count "
                "zeros in their place, or train the run again"
            ) from None

    @cached_property
    def _trained_state(self) -> TrainedState:
        # Cached, because a running training replaces the file.
        path = self.checkpoints / f"{self.checkpoint}.ckpt"
        if not path.exists():
            raise InputError(
                f"{path}: no such checkpoint yet; continue the run with "
                f"{resume_command(self.folder)}"
            )
        return read_trained_state(path, "name another checkpoint, or train the run again")

    def load_model(self) -> nn.Module:
        """The trained model in evaluation mode, final or of the checkpoint.

        Raises:
            InputError: The run has not been finished, or its weights are damaged or not finite.
        """
        if self.checkpoint is None and not self.weights.exists():
            hint = ""
            if self.last_checkpoint.exists():
                hint = ", or use what it has with checkpoint='last'"
            raise InputError(
                f"{self.folder}: no {self.weights.name}, the run is not finished; finish it with "
                f"{resume_command(self.folder)}{hint}"
            )
        if self.checkpoint is not None:
            path = self.checkpoints / f"{self.checkpoint}.ckpt"
            return self._fitted(path, self._trained_state.weights).eval()
        return self.with_weights(self.weights).eval()

    def with_weights(self, path: Path) -> nn.Module:
        """The model of this run with the weights of a safetensors file.

        Raises:
            InputError: The file cannot be read, or its weights do not fit the model, or are not
                finite.
        """
        return self._fitted(path, read_weights(path, self._remedy))

    @property
    def _remedy(self) -> str:
        return f"train the run again, or restore {self.config_file}"

    def _fitted(self, path: Path, found: Mapping[str, Tensor]) -> nn.Module:
        experts, where = len(self.config.model.levels), f"{path} with {self.config_file.name}"
        model = with_weights(self.build_model, found, experts, where, self._remedy)
        check_finite(found, path, DIVERGED)
        return model
