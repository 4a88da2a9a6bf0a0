"""The checks of the record of options: ranges, choices and combinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import Range
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions

_DEVICES = Range(1, 1_024)


def validate(options: TrainOptions) -> None:
    """Check all that can be checked without data and without the registries of names.

    Raises:
        InputError: A value is out of its range or none of the choices, or two options contradict
            each other. The message starts with the name of the option.
    """
    _check_values(options)
    _check_data(options)
    _check_assembly(options)
    _check_ticket(options)


def _check_values(options: TrainOptions) -> None:
    from pyg_stgcn.runs.options import OPTIONS

    for name, value in options.flat().items():
        option = OPTIONS[name]
        for part in value if isinstance(value, list | tuple) else [value]:
            if part is None:
                continue
            if option.allowed is not None and part not in option.allowed:
                raise InputError(f"{name} {part!r}: out of range; choose from {option.allowed}")
            if option.choices and part not in option.choices:
                choices = ", ".join(option.choices)
                raise InputError(f"{name} {part!r}: not one of the choices {choices}")
    devices = options.hardware.devices
    if devices.isdecimal() and float(devices) not in _DEVICES:
        raise InputError(f"devices {devices}: out of range; choose from {_DEVICES}, or 'auto'")


def _check_data(options: TrainOptions) -> None:
    data, model, optim = options.data, options.model, options.optim
    if data.val_split is not None and data.val is not None:
        raise InputError("val_split and val exclude each other; leave one out")
    if model.partitions is not None and model.graph != "random":
        raise InputError(
            f"partitions {model.partitions}: the graph {model.graph!r} has its own; leave the "
            "option out, or choose the random graph"
        )
    if model.freeze_backbone and model.init is None:
        raise InputError("freeze_backbone: needs weights to start from; name them with init")
    if data.context == "stream" and options.sparsity.skip_zeros:
        raise InputError(
            "skip_zeros: computes whole clips only; leave it out, or leave out context='stream'"
        )
    if data.context == "stream" and options.hardware.device_transforms:
        raise InputError(
            "device_transforms: context='stream' adds frames of other clips, which works on single "
            "clips only; leave one of the two out"
        )
    product = options.hardware.graph_product
    if product in ("sparse", "measured") and options.sparsity.skip_zeros:
        raise InputError(
            f"graph_product {product}: skip_zeros has products of its own; leave one of them out"
        )
    if options.hardware.compile and product in ("sparse", "measured"):
        raise InputError(
            f"graph_product {product}: compiled training steps have the dense product; leave this "
            "option or compile=True out"
        )
    if options.hardware.compile and options.sparsity.skip_zeros:
        raise InputError(
            "compile: skip_zeros has training steps of its own; leave one of the two out"
        )
    if optim.sync_batchnorm and options.sparsity.skip_zeros:
        raise InputError(
            "skip_zeros: computes the batch norms of one process only; leave it or sync_batchnorm "
            "out"
        )
    if optim.sync_batchnorm and options.hardware.compile:
        raise InputError(
            "compile: messages between processes cannot be in a graph; leave it or sync_batchnorm "
            "out"
        )
    if optim.balanced_sampler and optim.class_weights == "balanced":
        raise InputError(
            "balanced_sampler: draws all classes equally often already; leave it or the balanced "
            "class_weights out"
        )


def _check_assembly(options: TrainOptions) -> None:
    model, sparsity = options.model, options.sparsity
    if not model.levels:
        if model.experts is not None:
            raise InputError("experts: needs levels, the sparsity of each expert")
        if model.learned_weights:
            raise InputError("learned_weights: needs levels, the sparsity of each expert")
        return
    if model.experts is not None and len(model.experts) != len(model.levels):
        raise InputError(
            f"experts: {count(len(model.experts), 'backbone')} for "
            f"{count(len(model.levels), 'level')}; name one for each level"
        )
    if sparsity.sparsity:
        raise InputError(
            f"sparsity {sparsity.sparsity:g}: the experts of an assembly have their own; leave the "
            "option or levels out"
        )
    single = {"freeze_backbone": model.freeze_backbone, "ticket": sparsity.ticket is not None}
    single["save_epoch"] = sparsity.save_epoch is not None
    for name, given in single.items():
        if given:
            raise InputError(f"{name}: is for a single model; leave it or levels out")


def _check_ticket(options: TrainOptions) -> None:
    sparsity, epochs = options.sparsity, options.optim.epochs
    if sparsity.redraw and sparsity.ticket is None:
        raise InputError("redraw: needs a ticket, whose weights are drawn again")
    is_sparse = sparsity.sparsity > 0 or sparsity.edge_sparsity > 0
    contradicting = {
        "init": options.model.init is not None,
        "penalty": sparsity.penalty > 0,
        "include": sparsity.include is not None,
        "exclude": sparsity.exclude != type(sparsity).exclude,
        "sparsity": is_sparse,
    }
    for name, given in contradicting.items():
        if sparsity.ticket is not None and given:
            raise InputError(
                f"ticket {sparsity.ticket}: has its own masks and weights; leave {name} out"
            )
    if sparsity.save_epoch is None:
        return
    if is_sparse or sparsity.ticket is not None:
        raise InputError(
            "save_epoch: keeps weights of a dense network; leave sparsity and ticket out"
        )
    if epochs is not None and sparsity.save_epoch >= epochs:
        raise InputError(
            f"save_epoch {sparsity.save_epoch}: the run has {count(epochs, 'epoch')}; choose one "
            "before the last, or 0"
        )
