"""Training of a lottery ticket: its masks and weights on a run's model, and its first epoch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from safetensors.torch import save_file
from torch import Tensor, nn

from pyg_stgcn.checked import brief, check_entries
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import write_atomically
from pyg_stgcn.finite import check_finite
from pyg_stgcn.progress import tell
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.matching import class_numbers, same_skeleton
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import SparsityController, Ticket, kept_weights, load_ticket, put_masks
from pyg_stgcn.sparsity.mask import is_edge_weight
from pyg_stgcn.training.recognizer import ActionRecognizer

#: Types of the metadata of a ticket; all are optional.
_METADATA = {
    **{"backbone": str, "graph": str, "channels": int, "in_channels": int, "epoch": int},
    **{"stages": int, "inflate_stages": list[int] | None, "down_stages": list[int] | None},
    **{"skeleton": dict, "classes": list[str]},
    **{"include": str | None, "exclude": str, "structure": str},
}
#: Options that are equal for runs of the same backbone, whatever their data.
_BACKBONE = (
    *("backbone", "graph", "channels", "in_channels"),
    *("stages", "inflate_stages", "down_stages"),
)
# Has the same shape on skeletons with equally many joints, but is useless on another one.
_OF_SKELETON = re.compile(r"(^data_norm\.|\.adjacency\.)")
_OF_CLASSES = re.compile(r"^head\.")


def _option(run: Run) -> str:
    """The ticket of a run in error messages."""
    return f"ticket {run.config.sparsity.ticket}"


def check_same_ticket(run: Run) -> None:
    """Check that a run that is resumed was started with the same ticket.

    The file of the ticket may have moved.

    Raises:
        InputError: It was started with another ticket, or without one.
    """
    if not run.is_started:
        return
    _, metadata = load_config(run.config_file)
    assert run.config.sparsity.ticket is not None
    started = metadata.get("ticket", {}).get("checksum")
    if started != load_ticket(run.config.sparsity.ticket).checksum:
        raise InputError(
            f"{_option(run)}: is not the ticket that the run in {run.folder} was started with; "
            "name that one, or start again in another folder"
        )


def start_ticket(
    run: Run, model: nn.Module, trainer: pl.Trainer, steps_per_epoch: int
) -> SparsityController:
    """Prepare the training of the ticket that a run's configuration names.

    Args:
        run: The run that starts; receives the ticket's metadata.
        model: Untrained, without masks; receives the ticket's masks and weights.
        trainer: Starts at the ticket's epoch.
        steps_per_epoch: Of the optimiser.

    Raises:
        InputError: The file holds no ticket, or one that does not fit the run.
    """
    ticket = open_ticket(run)
    if not run.config.sparsity.redraw:
        check_finite(ticket.weights, _option(run), "make the ticket again")
    fitting = _with_classes_of(run, ticket)
    epoch = first_epoch(run, fitting)
    controller, drawn = start_from(fitting, run, model)
    skip_epochs(trainer, epoch, steps_per_epoch)
    run.metadata["ticket"] = {
        **ticket.metadata,
        "checksum": ticket.checksum,
        "first_epoch": epoch,
        "drawn_again": drawn,
        "unmasked": [name for name in drawn if name in ticket.masks],
    }
    if drawn and trainer.is_global_zero:
        tell(f"not taken from the ticket, but drawn at random: {', '.join(drawn)}")
    return controller


def open_ticket(run: Run) -> Ticket:
    """The ticket that a run's configuration names.

    Raises:
        InputError: The file holds no ticket, or one with metadata of other types.
    """
    assert run.config.sparsity.ticket is not None
    ticket = load_ticket(run.config.sparsity.ticket)
    remedy = "make it with 'pyg-stgcn lottery'"
    check_entries(ticket.metadata, _METADATA, _option(run), remedy, all_needed=False)
    return ticket


def _with_classes_of(run: Run, ticket: Ticket) -> Ticket:
    """The ticket with its classifier in the order of a run's classes, if the classes are equal."""
    theirs = ticket.metadata.get("classes", run.classes)
    if theirs == run.classes or sorted(theirs) != sorted(run.classes):
        return ticket
    numbers = class_numbers(theirs, run.classes, _option(run), "the data")
    rows = [numbers.index(number) for number in range(len(numbers))]
    masks, weights = (
        {name: value[rows] if _OF_CLASSES.search(name) else value for name, value in part.items()}
        for part in (ticket.masks, ticket.weights)
    )
    return replace(
        ticket, masks=masks, weights=weights, metadata={**ticket.metadata, "classes": run.classes}
    )


def ticket_metadata(run: Run, epoch: int) -> dict[str, Any]:
    """Metadata of a ticket: the network it comes from, its data and its training.

    Args:
        run: The dense run.
        epoch: The epoch of the ticket's weights, 0 for the initialisation.
    """
    backbone = {name: _backbone_of(run)[name] for name in _BACKBONE}
    data = {"skeleton": run.skeleton.to_dict(), "classes": run.classes}
    options = run.config.flat()
    names = ("dataset", "benchmark", "stream", "epochs", "seed")
    origin = {name: options[name] for name in names}
    return {**backbone, **data, **origin, **run.mask_options, "epoch": epoch}


def _backbone_of(run: Run) -> dict[str, Any]:
    return {**run.config.flat(), "in_channels": run.in_channels}


def first_epoch(run: Run, ticket: Ticket) -> int:
    """Number of epochs that count as done when the training of a ticket starts.

    Raises:
        InputError: The ticket lacks metadata, or its weights are of an epoch after
            the end of the run.
    """
    if run.config.sparsity.redraw or not all(_same_data(run, ticket)):
        return 0
    epoch: int = _entry(run, ticket, "epoch")
    if epoch < 0:
        raise InputError(
            f"{_option(run)}: its weights are of epoch {epoch}; make it with 'pyg-stgcn lottery'"
        )
    assert run.config.optim.epochs is not None
    if epoch >= run.config.optim.epochs:
        raise InputError(
            f"{_option(run)}: its weights are of epoch {epoch}, and the run ends after "
            f"{run.config.optim.epochs}; give more epochs"
        )
    return epoch


def _same_data(run: Run, ticket: Ticket) -> tuple[bool, bool]:
    """Whether the skeleton and the classes of a run are those of the ticket."""
    description = _entry(run, ticket, "skeleton")
    try:
        skeleton = Skeleton.from_dict(description)
    except InputError as error:
        raise InputError(f"{_option(run)}: skeleton: {brief(error)}") from None
    return same_skeleton(skeleton, run.skeleton), _entry(run, ticket, "classes") == run.classes


def _entry(run: Run, ticket: Ticket, name: str) -> Any:
    if name not in ticket.metadata:
        raise InputError(
            f"{_option(run)}: its metadata lack the {name}; make it with 'pyg-stgcn lottery'"
        )
    return ticket.metadata[name]


def start_from(ticket: Ticket, run: Run, model: nn.Module) -> tuple[SparsityController, list[str]]:
    """Put the masks and weights of a ticket on an untrained model.

    With ``redraw`` the run keeps the weights of its own initialisation. On another skeleton, or for
    other classes, the weights that depend on them keep their initialisation too.

    Args:
        ticket: Masks and weights.
        run: The run that starts; describes the model.
        model: Without masks.

    Returns:
        The controller of the masks, and the names of the weights that are not the ticket's.

    Raises:
        InputError: The ticket is of another backbone or of another width.
    """
    same_skeleton, same_classes = _same_data(run, ticket)
    backbone = _backbone_of(run)
    for name in _BACKBONE:
        if (theirs := _entry(run, ticket, name)) != backbone[name]:
            raise InputError(
                f"{_option(run)}: has {name} {theirs}, not {backbone[name]}; "
                "train with the backbone, graph, channels and stream of the ticket"
            )
    ours = model.state_dict()
    drawn = []
    for name in sorted(ticket.weights.keys() | ours.keys()):
        fits = name in ours and name in ticket.weights
        fits = fits and ours[name].shape == ticket.weights[name].shape
        if (_OF_CLASSES.search(name) and not same_classes) or (
            not same_skeleton and (not fits or _OF_SKELETON.search(name))
        ):
            drawn.append(name)
        elif not fits:
            raise InputError(
                f"{_option(run)}: {name} does not fit this {type(model).__name__}; make the ticket "
                "again with this version of pyg-stgcn"
            )
    if not run.config.sparsity.redraw:
        found = {name: value for name, value in ticket.weights.items() if name not in drawn}
        model.load_state_dict({**ours, **found})
    masks = {name: mask for name, mask in ticket.masks.items() if name not in drawn}
    return put_masks(model, masks), [name for name in drawn if name in ours]


def learned_masks(run: Run, dense: Run) -> dict[str, Tensor]:
    """Masks of the weights that a sparse run has kept, without those of edges.

    Args:
        run: A finished run.
        dense: The run whose network gets the masks; it may not have started.

    Raises:
        InputError: The run is not finished, is of another backbone, or masks weights whose shape
            depends on its data.
    """
    ours, theirs = _backbone_of(dense), _backbone_of(run)
    for name in _BACKBONE:
        if theirs[name] != ours[name]:
            option = "input channels" if name == "in_channels" else f"--{name}"
            raise InputError(
                f"{run.folder}: is a run with {option} {theirs[name]}, not {ours[name]}; "
                "name a run of the same network"
            )
    model, maskable = run.load_model(), run.maskable
    kept = kept_weights(
        model, run.load_masks(model), include=maskable["include"], exclude=maskable["exclude"]
    )
    masks = {name: mask for name, mask in kept.items() if not is_edge_weight(name, mask)}
    needed = dense.build_model().state_dict()
    for name, mask in masks.items():
        if name not in needed or needed[name].shape != mask.shape:
            raise InputError(
                f"{run.folder}: its {name} is of other data; name a run on the same data, or one "
                "that has left it dense (exclude)"
            )
    return masks


def skip_epochs(trainer: pl.Trainer, epochs: int, steps_per_epoch: int) -> None:
    """Let a trainer start as if it had done some epochs already.

    Learning rate, order of the clips and augmentation continue from there.
    """
    loop = trainer.fit_loop
    done = dict.fromkeys(("ready", "started", "processed", "completed"), epochs)
    loop.epoch_progress.load_state_dict({"total": done, "current": done})
    steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step
    taken = dict.fromkeys(("ready", "completed"), epochs * steps_per_epoch)
    steps.load_state_dict({"total": taken, "current": dict.fromkeys(taken, 0)})


class WeightKeeper(Callback):
    """Writes the weights and buffers of a dense model after one epoch.

    Args:
        path: The file, in safetensors.
        epoch: 0 for the initialisation.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        self.path = path
        self.epoch = epoch

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.epoch == trainer.current_epoch == 0:
            self._write(pl_module)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 == self.epoch:
            self._write(pl_module)

    def _write(self, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, ActionRecognizer)
        state: Mapping[str, Tensor] = pl_module.model.state_dict()
        tensors = {name: value.cpu().contiguous() for name, value in state.items()}
        write_atomically(self.path, lambda file: save_file(tensors, file))
