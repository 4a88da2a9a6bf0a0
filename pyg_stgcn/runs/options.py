"""The options of a training: one record, the source of the command line, ``config.toml``, the table
in the documents and all checks."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from pyg_stgcn.ranges import (
    BATCH,
    CHANNELS,
    DECAY,
    FRACTION,
    FRAMES,
    PART,
    PERSONS,
    SEED,
    STAGES,
    UP_TO_ALL,
    VIEWS,
    Range,
    whole,
)
from pyg_stgcn.runs.option_checks import validate
from pyg_stgcn.runs.option_fields import Option, option, options_of

#: Parameters that are not masked, as in the paper: the classifier.
UNMASKED = "head.*"
#: Method "score" as the paper's release trains it.
RELEASED = "released"
#: Value of ``class_weights`` that is no file.
BALANCED = "balanced"
METHODS = ("feedback", "magnitude", "score", RELEASED, "rigl", "set", "random")


@dataclass(frozen=True)
class DataOptions:
    """The clips, and their preparation for the model."""

    dataset: str = option("Dataset, or a pickle in PYSKL's format.", metavar="NAME|FILE.pkl")
    root: str | None = option(
        "Folder of the datasets.", None, auto="data; of a pickle: its own folder", metavar="DIR"
    )
    source: str | None = option(
        "Local copy of the dataset's archive or raw files.",
        None,
        auto="download",
        metavar="FILE|DIR",
    )
    skeleton: str | None = option(
        "Skeleton of a pickle.", None, auto="what the pickle says", metavar="NAME|FILE.json"
    )
    benchmark: str | None = option(
        "Training and validation split, such as xsub.", None, auto="the dataset's first"
    )
    val_split: float | None = option(
        "Fraction of each class's training clips to validate on, such as 0.2.",
        None,
        allowed=PART,
        auto="the dataset's own split",
    )
    val: str | None = option(
        "Pickle with validation clips.", None, auto="the dataset's own split", metavar="FILE.pkl"
    )
    hold_out: float = option(
        "Fraction of the training clips to hold out for the temperature and 'fuse --search'.",
        0.0,
        allowed=FRACTION,
    )
    strict: bool = option("Stop at the first clip that cannot be used.", False)
    skip_bad: bool = option("Skip all clips that cannot be used, however many.", False)
    drop_leaks: bool = option("Drop validation clips that are copies of training clips.", False)
    per_person: bool = option("Every person of a clip is an item with the clip's class.", False)
    stream: str = option("joint, bone, joint-motion, bone-motion; join several by '+'.", "joint")
    clip_frames: int | None = option(
        "Frames sampled from each clip.", None, allowed=FRAMES, auto="100; small data: 48"
    )
    context: str = option(
        "Frames around a clip: zeros (clip), or those of other clips (stream).",
        "clip",
        choices=("clip", "stream"),
    )
    pad_persons: int | None = option(
        "Persons of every clip; pads with zeros and drops further ones.",
        None,
        allowed=PERSONS,
        auto="those in the clip",
    )
    scale: bool = option("Divide 3-D clips by their mean bone length.", True)
    use_score: bool = option("Give the model the scores of 2-D joints.", True)
    fractions: bool = option(
        "Give positions in 2-D from 0 to 1 over the image, not from -1 to 1.", False
    )
    rotation: float = option(
        "Largest random rotation about each axis, in radians.", 0.3, allowed=Range(0, 6.2832)
    )
    scaling: float = option(
        "Largest random change of the length of each axis.", 0.1, allowed=FRACTION
    )
    augment: dict[str, float] = option(
        "Augmentation: mirror, crop, speed, noise, joint-dropout, frame-loss. Repeatable.",
        {},
        metavar="NAME[=VALUE]",
    )


@dataclass(frozen=True)
class ModelOptions:
    """The network, and the weights that it starts from."""

    backbone: str = option("Backbone of the network.", "stgcn", metavar="NAME")
    channels: int | None = option(
        "Channels of the first stage.", None, allowed=CHANNELS, auto="64; small data: 16"
    )
    graph: str = option("'random' (learnable), or a partition such as 'spatial'.", "random")
    partitions: int | None = option(
        "Partitions of the random graph.",
        None,
        allowed=whole(1, 100),
        auto="8 for dgstgcn, else 3",
    )
    stages: int = option("Stages of the network.", 10, allowed=STAGES)
    inflate_stages: list[int] | None = option(
        "Stages that double the channels.", None, allowed=STAGES, auto="5 8, as far as there are"
    )
    down_stages: list[int] | None = option(
        "Stages that halve the frames.", None, allowed=STAGES, auto="5 8, as far as there are"
    )
    dropout: float = option(
        "Fraction of the features dropped before the classifier.", 0.0, allowed=FRACTION
    )
    init: str | None = option(
        "Weights to start from: a run, a checkpoint, or a file or name of PYSKL.",
        None,
        auto="random weights",
        metavar="RUN|FILE|pyskl:NAME",
    )
    freeze_backbone: bool = option("Train the classifier only.", False)
    levels: list[float] = option(
        "Train an assembly: the sparsity of each expert, such as 0.6 0.9.", [], allowed=FRACTION
    )
    experts: list[str] | None = option("Backbone of each expert.", None, auto="--backbone for all")
    learned_weights: bool = option("Learn the weight of each expert in the mean.", False)


@dataclass(frozen=True)
class SparsityOptions:
    """The weights that are pruned, and when."""

    sparsity: float = option("Fraction of the maskable weights to prune.", 0.0, allowed=FRACTION)
    edge_sparsity: float = option("Fraction of the graph's edges to prune.", 0.0, allowed=FRACTION)
    method: str = option("Method of pruning.", "feedback", choices=METHODS)
    structure: str = option(
        "Weights that are pruned together.",
        "unstructured",
        choices=("unstructured", "block8", "channel", "2:4"),
    )
    include: str | None = option(
        "Names of the parameters to mask, such as 'stages.*.tcn.*'.",
        None,
        auto="all weights",
        metavar="PATTERN,...",
    )
    exclude: str = option(
        "Names of the parameters to leave dense.", UNMASKED, metavar="PATTERN,..."
    )
    allocation: str | None = option(
        "Division of the zeros among the layers.",
        None,
        choices=("global", "uniform", "erk"),
        auto="erk; released: global",
    )
    min_density: float | None = option(
        "Least density of a layer, relative to the mean density.",
        None,
        allowed=UP_TO_ALL,
        auto="0.25; released: 0",
    )
    score_scale: str | None = option(
        "Scale of the scores of different layers under 'global'.",
        None,
        choices=("fan_in", "none"),
        auto="fan_in; released: none",
    )
    schedule: str | None = option(
        "Growth of the sparsity over the steps.",
        None,
        choices=("constant", "step", "linear", "cubic"),
        auto="cubic; rigl, set, random: constant; released: step",
    )
    warmup: float | None = option(
        "Fraction of the training before the sparsity grows.",
        None,
        allowed=FRACTION,
        auto="0; released: 0.6",
    )
    ramp_end: float | None = option(
        "Fraction of the training at which the full sparsity is reached.",
        None,
        allowed=UP_TO_ALL,
        auto="0.3, counted from the warm-up",
    )
    freeze_after: float | None = option(
        "Fraction of the training after which the masks are fixed.",
        None,
        allowed=UP_TO_ALL,
        auto="never; rigl, set: 0.75",
    )
    mask_update_every: int | None = option(
        "Steps between two changes of the masks.",
        None,
        allowed=whole(1, 1_000_000_000),
        auto="1; rigl, set: 100, or 30 changes in all",
    )
    score_lr: float | None = option(
        "Learning rate of learned scores.",
        None,
        allowed=Range(0, 100_000),
        auto="10 times --lr; released: --lr",
    )
    score_weight_decay: float | None = option(
        "Weight decay of learned scores.", None, allowed=DECAY, auto="0; released: --weight-decay"
    )
    penalty: float = option(
        "Strength of a group lasso on weights to prune, such as 0.0001.",
        0.0,
        allowed=Range(0, 1_000),
    )
    penalty_groups: str = option(
        "Groups of the lasso.", "filter", choices=("filter", "input", "layer", "all")
    )
    ticket: str | None = option("Lottery ticket to train.", None, auto="none", metavar="FILE")
    redraw: bool = option("Keep the masks of the ticket only, with new weights.", False)
    save_epoch: int | None = option(
        "Epoch whose dense weights are kept for tickets; 0: the initialisation.",
        None,
        allowed=whole(0, 1_000_000),
        auto="none",
    )
    skip_zeros: bool = option("Skip pruned weights in training steps (stgcn on a CPU).", False)


@dataclass(frozen=True)
class OptimOptions:
    """The optimisation, and the final evaluation."""

    recipe: str = option(
        "Defaults of width, length and optimisation, by the amount of data or by name.",
        "auto",
        choices=("auto", "small", "published"),
    )
    epochs: int | None = option(
        "Passes over the training clips.",
        None,
        allowed=whole(1, 1_000_000),
        auto="80; small data: 100 to 400",
    )
    batch_size: int | None = option(
        "Clips of a step, over all devices.", None, allowed=BATCH, auto="128; small data: 16"
    )
    lr: float | None = option(
        "Learning rate at the start; a cosine takes it to zero.",
        None,
        allowed=Range(0, 1_000, low_open=True),
        auto="0.1; small data: 0.025; in proportion to --batch-size",
    )
    weight_decay: float | None = option(
        "Weight decay.", None, allowed=DECAY, auto="0.0005; small data: 0.01"
    )
    label_smoothing: float = option("Label smoothing.", 0.1, allowed=FRACTION)
    class_weights: str | None = option(
        "Class weights in the loss: 'balanced', or a CSV file of class,weight.",
        None,
        auto="equal",
        metavar="balanced|FILE.csv",
    )
    balanced_sampler: bool = option("Draw training clips of all classes equally often.", False)
    sync_batchnorm: bool = option("Statistics of batch norms over all processes.", False)
    seed: int = option("Seed of weights, order and augmentation.", 0, allowed=SEED)
    eval_views: int = option("Views averaged in the final evaluation.", 10, allowed=VIEWS)


@dataclass(frozen=True)
class HardwareOptions:
    """Devices and processes."""

    accelerator: str = option("auto, cpu, gpu, ...", "auto")
    devices: str = option("Number of devices or processes of a machine, or auto.", "auto")
    num_nodes: int = option("Machines.", 1, allowed=whole(1, 100_000))
    strategy: str = option("auto, ddp, ...", "auto")
    precision: str = option("32-true, 16-mixed, bf16-mixed or 64-true.", "32-true")
    graph_product: str = option(
        "Graph product: by the density (auto), by torch-sparse, dense, or the faster, measured.",
        "auto",
        choices=("auto", "sparse", "dense", "measured"),
    )
    compile: bool = option("Compile the training step to one graph by torch.compile.", False)
    num_workers: int = option("Processes that load the clips.", 0, allowed=whole(0, 1_024))
    device_transforms: bool = option(
        "Transform whole batches on the device; the processes only read the clips.", False
    )


@dataclass(frozen=True)
class TrainOptions:
    """All options of a training, in five groups.

    Options that depend on the data or on other options are ``None`` until :meth:`with_recipe` fills
    them in.

    Example:
        >>> options = TrainOptions.of(dataset="ntu60", sparsity=0.95)
        >>> options.data.dataset, options.sparsity.sparsity
        ('ntu60', 0.95)

    Raises:
        InputError: A value is wrong, or two options contradict each other.
    """

    data: DataOptions
    model: ModelOptions = field(default_factory=ModelOptions)
    sparsity: SparsityOptions = field(default_factory=SparsityOptions)
    optim: OptimOptions = field(default_factory=OptimOptions)
    hardware: HardwareOptions = field(default_factory=HardwareOptions)

    def __post_init__(self) -> None:
        validate(self)

    @classmethod
    def of(cls, **values: Any) -> TrainOptions:
        """Build the record from options by name; missing ones get their default.

        Raises:
            InputError: There is no such option, or no dataset.
        """
        return cls(**{group: part(**own) for group, part, own in _by_group(values)})

    def replace(self, **values: Any) -> TrainOptions:
        """A copy with other values of some options, by name."""
        parts = {
            group: dataclasses.replace(getattr(self, group), **own)
            for group, _, own in _by_group(values)
        }
        return dataclasses.replace(self, **parts)

    def flat(self) -> dict[str, Any]:
        """All values by the names of the options."""
        return {name: getattr(getattr(self, o.group), name) for name, o in OPTIONS.items()}

    def with_recipe(self, num_training_clips: int, benchmark: str | None) -> TrainOptions:
        """Fill in the options that depend on the amount of data and on the method."""
        from pyg_stgcn.runs.recipe import complete  # Imports torch, which the record does not need.

        return complete(self, num_training_clips, benchmark)

    @property
    def maskable(self) -> dict[str, Any]:
        """Selection of maskable parameters, as arguments of :func:`pyg_stgcn.sparsity.report`."""
        own = self.sparsity
        return {
            "include": None if own.include is None else tuple(own.include.split(",")),
            "exclude": tuple(own.exclude.split(",")) if own.exclude else (),
            "edges": own.edge_sparsity > 0,
        }

    @property
    def architecture(self) -> str:
        """The backbone, or those of the experts with their numbers."""
        if not self.model.levels:
            return self.model.backbone
        counts = Counter(self.model.experts or [self.model.backbone] * len(self.model.levels))
        return " + ".join(f"{count} {name}" for name, count in counts.items())


#: The groups of the record, in their order.
GROUPS = ("data", "model", "sparsity", "optim", "hardware")
#: All options, by name.
OPTIONS: dict[str, Option] = options_of(TrainOptions)
#: Options for the hardware and the places of files; the result does not depend on them.
PLACEMENT = {"root", "source", "ticket"}
PLACEMENT |= {"num_workers", "accelerator", "devices", "num_nodes", "strategy"}
PLACEMENT |= {"device_transforms", "graph_product", "compile"}


def _by_group(values: dict[str, Any]) -> list[tuple[str, Any, dict[str, Any]]]:
    if unknown := sorted(values.keys() - OPTIONS.keys()):
        raise TypeError(f"there is no option {', '.join(unknown)}")
    return [
        (group, part, {name: values[name] for name in values if OPTIONS[name].group == group})
        for group, part in get_type_hints(TrainOptions).items()
    ]
