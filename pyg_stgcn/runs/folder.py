"""The folder of a training run: what lies where, and how to get the trained model back."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file
from torch import Tensor, nn

from pyg_stgcn.checked import brief, check_entries
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.finite import check_finite
from pyg_stgcn.models import Assembly, Backbone, create_model
from pyg_stgcn.models.weights import read_weights, with_weights
from pyg_stgcn.runs.checkpoint import TrainedState, read_trained_state
from pyg_stgcn.runs.config_file import RESTORE, load_config, save_config
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.run_files import RunFiles, resume_command
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import (
    LayerReport,
    SparsitySummary,
    check_masks,
    kept_weights,
    load_sparse,
    report,
    save_sparse,
    summary,
)

#: Boolean masks by the names of the parameters, true where a weight is kept.
Masks = Mapping[str, Tensor]

#: What a run has written down of its data, and of its ticket if it was started from one.
_OF_DATA = {"skeleton": dict, "classes": list[str], "in_channels": int}
_OF_LATER_DATA = {"has_score": bool}
_OF_TICKET = {"include": str | None, "exclude": str, "structure": str, "unmasked": list[str]}
_RECORDED = (
    "pyg-stgcn",
    "torch",
    "torch-geometric",
    "torch-sparse",
    "torch-scatter",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
)
#: What to do about weights that are not finite.
DIVERGED = "train again with a lower --lr, and check the data with 'pyg-stgcn datasets info'"


def software_versions() -> dict[str, str | None]:
    """Versions of Python, the platform and the packages that a result depends on."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    versions["platform"] = platform.platform()
    for package in _RECORDED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def layer_reports(model: nn.Module, run: Run, masks: Masks | None = None) -> list[LayerReport]:
    """Reports of all maskable parameters, those of an assembly expert by expert.

    Args:
        model: With its masks, which are counted then, or finalised.
        run: Says what is maskable, in every expert by the names that it has alone.
        masks: Of a finalised model, see :meth:`Run.load_masks`; without them its zeros are counted.
    """
    if not isinstance(model, Assembly):
        return report(model, masks, **run.maskable)
    return [
        replace(layer, name=f"experts.{number}.{layer.name}")
        for number, expert in enumerate(model.experts)
        for layer in report(expert, expert_masks(masks, number), **run.maskable)
    ]


def expert_masks(masks: Masks | None, number: int) -> dict[str, Tensor]:
    """Masks of one expert of an assembly, by the names that it has alone."""
    prefix = f"experts.{number}."
    return {
        name.removeprefix(prefix): mask
        for name, mask in (masks or {}).items()
        if name.startswith(prefix)
    }


def _summary(model: nn.Module, run: Run, masks: Masks | None) -> SparsitySummary:
    if not isinstance(model, Assembly):
        return summary(model, masks, **run.maskable)
    parts = [
        summary(expert, expert_masks(masks, number), **run.maskable)
        for number, expert in enumerate(model.experts)
    ]
    added = ("params_maskable", "maskable_kept", "edges_maskable", "edges_kept")
    return SparsitySummary(
        params_total=sum(parameter.numel() for parameter in model.parameters()),
        **{name: sum(getattr(part, name) for part in parts) for name in added},
    )


def sparsity_summary(
    model: nn.Module, run: Run, masks: Masks | None = None
) -> dict[str, int | float]:
    """How many parameters a trained model has, and how many of them are kept.

    Args:
        model: With its masks, which are counted then, or finalised.
        run: Says what is maskable.
        masks: Of a finalised model, see :meth:`Run.load_masks`; without them its zeros are counted.

    Returns:
        ``params_total``, ``params_maskable``, ``maskable_kept``, ``sparsity`` (zeros among the
        maskable weights), ``params_kept`` and ``params_kept_fraction`` (of *all* parameters); with
        pruned edges also ``edges_maskable``, ``edges_kept`` and ``edge_sparsity``.
    """
    counts = _summary(model, run, masks)
    names = ["params_total", "params_maskable", "maskable_kept", "sparsity"]
    names += ["params_kept", "params_kept_fraction"]
    if run.config.sparsity.edge_sparsity:
        names += ["edges_maskable", "edges_kept", "edge_sparsity"]
    return {name: getattr(counts, name) for name in names}


@dataclass(frozen=True)
class Run(RunFiles):
    """A run's folder, its configuration and the facts about its data.

    Args:
        folder: The run directory.
        config: What was asked for.
        skeleton: The skeleton of the data.
        classes: Names of the classes, in label order.
        in_channels: Channels of the model's input.
        facts: Everything else of the configuration file.
        checkpoint: ``"best"`` or ``"last"`` to take the weights and masks of that checkpoint, which
            a run has before it is finished, and not those of its end; results are named after it.
    """

    config: TrainOptions
    skeleton: Skeleton
    classes: list[str]
    in_channels: int
    facts: dict[str, Any]

    @property
    def frames(self) -> int:
        """Frames of the clips that the model sees."""
        assert self.config.data.clip_frames is not None, "the configuration lacks its recipe"
        return self.config.data.clip_frames

    @property
    def mask_options(self) -> dict[str, Any]:
        """``include``, ``exclude`` and ``structure`` of the masks; a ticket brings its own."""
        ticket = self.facts.get("ticket", {})
        own = self.config.flat()
        names = ("include", "exclude", "structure")
        return {name: ticket.get(name, own[name]) for name in names}

    @property
    def maskable(self) -> dict[str, Any]:
        """Which parameters are maskable, as arguments of :func:`pyg_stgcn.sparsity.report`."""
        found = self.config.replace(**self.mask_options).maskable
        left_out = self.facts.get("ticket", {}).get("unmasked", ())
        return {**found, "exclude": (*found["exclude"], *left_out)}

    @property
    def written_in_training(self) -> list[Path]:
        """All files that a training writes, whether they are there or not."""
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
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name the folder of a training run")
        with contextlib.suppress(OSError):  # Of a folder that cannot be listed, files are tried.
            for path in folder.iterdir():
                check_is_file(path)
        path = RunFiles(folder).config_file
        config, facts = load_config(path)
        check_entries(facts, {"data": dict}, path, RESTORE)
        data = facts["data"]
        check_entries(data, _OF_DATA, path, RESTORE, "data.")
        check_entries(data, _OF_LATER_DATA, path, RESTORE, "data.", all_needed=False)
        ticket = facts.get("ticket", {})
        check_entries(ticket, _OF_TICKET, path, RESTORE, "ticket.", all_needed=False)
        try:
            skeleton = Skeleton.from_dict(data["skeleton"])
        except InputError as error:
            raise InputError(f"{path}: data.skeleton: {brief(error)}; {RESTORE}") from None
        classes, in_channels = data["classes"], data["in_channels"]
        return cls(folder, config, skeleton, classes, in_channels, facts, checkpoint=checkpoint)

    def save_config(self) -> None:
        save_config(self.config_file, self.config, self.facts)

    def build_model(self) -> nn.Module:
        """The untrained, dense model of this run."""
        backbones = [
            cast(Backbone, create_model(name, len(self.classes), self.skeleton, **self.options))
            for name in self.backbones
        ]
        if not self.config.model.levels:
            return backbones[0]
        return Assembly(backbones, learned_weights=self.config.model.learned_weights)

    @property
    def backbones(self) -> list[str]:
        """The name of the model, or those of the experts."""
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
            **({} if partitions is None else {"num_partitions": partitions}),
        }

    def save_weights(self, model: nn.Module, *, sparse: bool) -> None:
        """Write the trained weights, and a second, smaller file if most of them are zero.

        Raises:
            InputError: The training has diverged.
        """
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        check_finite(state, self.folder, DIVERGED)
        write_atomically(self.weights, lambda file: save_file(state, file))
        if sparse:
            save_sparse(self.sparse_weights, state)

    def save_masks(self, model: nn.Module) -> None:
        """Write the masks of a model that has been trained with them."""
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
        # Read once: a training that is running replaces the file.
        path = self.checkpoints / f"{self.checkpoint}.ckpt"
        if not path.exists():
            raise InputError(
                f"{path}: no such checkpoint, the run has not come so far; go on with it with "
                f"{resume_command(self.folder)}"
            )
        return read_trained_state(path, "name another checkpoint, or train the run again")

    def load_model(self) -> nn.Module:
        """The trained model, in evaluation mode, or that of the checkpoint.

        Raises:
            InputError: The run has not been finished, or its weights are damaged or not finite.
        """
        if self.checkpoint is None and not self.weights.exists():
            hint = ""
            if self.last_checkpoint.exists():
                hint = ", or evaluate or export what it has with --checkpoint last"
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
            InputError: The file cannot be read, or its weights are not those of such a model, or
                not finite.
        """
        return self._fitted(path, read_weights(path, self._remedy))

    @property
    def _remedy(self) -> str:
        return f"train the run again, or mend {self.config_file} if that was changed"

    def _fitted(self, path: Path, found: Mapping[str, Tensor]) -> nn.Module:
        experts, where = len(self.config.model.levels), f"{path} with {self.config_file.name}"
        model = with_weights(self.build_model, found, experts, where, self._remedy)
        check_finite(found, path, DIVERGED)
        return model
