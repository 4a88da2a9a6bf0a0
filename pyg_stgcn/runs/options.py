"""What a run is asked to do: one flat, JSON-able record, and defaults that depend on the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from pyg_stgcn.checked import check_entries, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.jsonfile import read_json
from pyg_stgcn.ranges import TRAINING, check_devices, check_ranges
from pyg_stgcn.runs.recipe import Recipe, default_recipe
from pyg_stgcn.sparsity.allocation import MIN_DENSITY
from pyg_stgcn.tables import write_json


class MaskPlan(NamedTuple):
    """When the masks of a method move, and how they are chosen."""

    schedule: str = "cubic"
    warmup: float = 0.0
    #: Steps from one change to the next, at most.
    mask_update_every: int = 1
    freeze_after: float | None = None
    allocation: str = "erk"
    min_density: float = MIN_DENSITY
    score_scale: str = "fan_in"


#: What to do about a ``config.json`` that somebody has changed.
RESTORE = "put the file back as the run wrote it, or train the run again"
#: Parameters that the masks leave alone, as in the paper: the classifier.
UNMASKED = "head.*"
#: Where and with how much of the machine a run computes, and where what it reads lies now; its
#: result does not depend on it.
PLACEMENT = {
    "root",
    "source",
    "ticket",
    "num_workers",
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
}


#: Learning rate of the scores of method "score", for a learning rate of one.
SCORE_LR = 10.0
#: Method "score" as the paper's release trains it.
RELEASED = "released"
#: Share of the training after the warm-up in which a ramp reaches its target.
RAMP = 0.3
_DYNAMIC = MaskPlan("constant", mask_update_every=100, freeze_after=0.75)
#: How each method moves and chooses its masks, where the user does not say. Dynamic methods are
#: sparse from the start, and keep what they have found for the last quarter, as published.
MASK_PLANS: dict[str, MaskPlan] = {
    "rigl": _DYNAMIC,
    "set": _DYNAMIC,
    "random": MaskPlan("constant"),
    RELEASED: MaskPlan("step", 0.6, allocation="global", min_density=0.0, score_scale="none"),
}
#: Methods that change their masks seldom do so at least so often in a training, however short.
MASK_UPDATES = 30

#: Options that a run fills in where they are None.
FILLED_IN = {*Recipe._fields, *MaskPlan._fields}
FILLED_IN |= {"benchmark", "experts", "score_lr", "score_weight_decay"}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a run.

    ``None`` in :attr:`channels`, :attr:`clip_frames`, :attr:`epochs`, :attr:`batch_size`,
    :attr:`lr` or :attr:`weight_decay` asks for :func:`default_recipe`, in the options of
    :class:`MaskPlan`, :attr:`score_lr` or :attr:`score_weight_decay` for what the :attr:`method`
    wants (:data:`MASK_PLANS`), and in :attr:`benchmark` for the dataset's first one; the
    ``config.json`` of a run holds the values that were used.

    Args:
        dataset: A name from :data:`pyg_stgcn.datasets.DATASETS` or the path of a pickle in PYSKL's
            annotation form.
        root: Folder of the datasets' files (default: ``data``; beside the file for a pickle).
        source: A local copy of the dataset's archive or raw files, used instead of the download.
        skeleton: Built-in name or JSON file; only for pickles.
        benchmark: Name of the train/validation split, such as ``"xsub"``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.
        val_split: Fraction of every class's training clips to take for validation, in (0, 1).
        val: A pickle with validation clips, for data that have none.
        hold_out: Share of every class's training clips that is not trained on, so that fusion
            weights can be chosen on it.
        model: A name from :func:`pyg_stgcn.models.list_models`.
        levels: Sparsity of each expert of an assembly
            (:class:`~pyg_stgcn.models.Assembly`); empty for a single model.
        experts: The experts' backbones, one a level (default: ``model`` for all).
        learned_weights: Whether the experts' factors in the mean of their features are learned.
        init: Weights to start from: a run's folder, its ``model.safetensors`` or a checkpoint of
            PYSKL. A classifier for another number of classes is left out.
        freeze_backbone: Whether to train nothing but the classifier.
        skip_zeros: Whether training steps of a pruned model leave out the pruned weights, see
            :class:`pyg_stgcn.runtime.experimental.SparseTraining`.
        ticket: Lottery ticket to train, a file of :func:`pyg_stgcn.sparsity.save_ticket`: its
            masks, from its weights and its epoch on. On data of other classes or another skeleton
            what belongs to these is drawn again, and the training starts at its first epoch.
        redraw: Whether all weights of the ticket are drawn again, so that its masks are left.
        save_epoch: Epoch after which the weights of a dense run are kept, to start a ticket from; 0
            for the initialisation (default: none).
        graph: A partition of the skeleton, or ``"random"`` for a learnable graph over all joints.
        partitions: Of the ``"random"`` graph (default: the backbone's, 8 of DG-STGCN and 3 of the
            others).
        stream: ``"joint"``, ``"bone"``, ``"joint-motion"``, ``"bone-motion"``, or several joined
            by ``"+"``.
        channels: Width of the first stage.
        clip_frames: Frames sampled from each clip.
        pad_persons: Fill every clip up to so many persons with zeros, and drop further ones, as
            older toolboxes do with 2 (default: every clip has the persons that are in it).
        scale: Whether 3-D clips are divided by their mean bone length, which differs between
            subjects and sensors.
        rotation: Random rotations are drawn from ``[-rotation, rotation]`` radians an axis.
        scaling: Random factors of the axes are drawn from ``[1 - scaling, 1 + scaling]``.
        augment: Further augmentations and the number of each, such as ``{"mirror": 0.5}``; see
            :data:`pyg_stgcn.runs.augmentation.AUGMENTATIONS`.
        sparsity: Share of the maskable weights to prune, in ``[0, 1)``.
        edge_sparsity: Share of the graph's edges to prune, in ``[0, 1)``.
        method: What is kept: the largest weights, while pruned ones are trained along
            (``"feedback"``) or left alone (``"magnitude"``); those with the highest learned
            scores (``"score"``, the generator of the paper, and ``"released"``, the same with the
            settings of its release); a few that are exchanged now and then (``"rigl"``,
            ``"set"``); or any (``"random"``).
        include: Which parameters are maskable, as comma-separated structures of :mod:`fnmatch` on
            their names (default: all weights of convolutions and linear maps).
        exclude: Which of them are not; the default is the classifier, as in the paper.
        structure: Which weights are kept or pruned together: ``"unstructured"``, ``"block8"``,
            ``"channel"`` or ``"2:4"``.
        allocation: How many weights each layer loses: ``"global"``, ``"uniform"`` or ``"erk"``
            (default: ``"global"`` for ``"released"``, ``"erk"`` for the others).
        min_density: What every layer keeps at least, as a share of what it would keep under
            ``"uniform"``, in ``[0, 1]`` (default: 0 for ``"released"``, 0.25 for the others).
        score_scale: How layers compare under ``"global"``: ``"fan_in"`` or ``"none"`` (default:
            ``"none"`` for ``"released"``, ``"fan_in"`` for the others).
        penalty: Strength of the group lasso on weights that are about to be pruned, until the
            schedule has reached its target.
        penalty_groups: Its groups: ``"filter"``, ``"input"``, ``"layer"`` or ``"all"``.
        schedule: How the sparsity grows: ``"constant"``, ``"step"``, ``"linear"``, ``"cubic"``
            (default: ``"constant"`` for ``"rigl"``, ``"set"`` and ``"random"``, ``"step"`` for
            ``"released"``, ``"cubic"`` for the others).
        mask_update_every: Optimiser steps from one change of the masks to the next (default: 100
            for ``"rigl"`` and ``"set"``, fewer if the training is so short that there would be
            fewer than 30 changes; 1 for the others).
        freeze_after: Share of the training steps after which the masks no longer change (default:
            0.75 for ``"rigl"`` and ``"set"``, never for the others).
        warmup: Share of the training steps before the sparsity starts to grow (default: 0.6 for
            ``"released"``, 0 for the others).
        ramp_end: Share of the training steps after which a linear or cubic schedule has reached
            the full sparsity (default: 0.3 of the way between the warm-up and the end).
        score_lr: Learning rate of the scores of method ``"score"`` at the start (default: ten times
            ``lr``; ``lr`` for ``"released"``).
        score_weight_decay: Weight decay of the scores (default: 0; ``weight_decay`` for
            ``"released"``).
        epochs: Passes over the training clips.
        batch_size: Clips an optimiser step, over all devices together.
        lr: Learning rate at the start; it falls to zero along a cosine (default: that of the
            recipe, in proportion to the batch size).
        weight_decay: Of all parameters but the masks' scores.
        dropout: Share of the features that are dropped before the classifier, in training.
        label_smoothing: Share of the target that is spread over all classes.
        class_weights: Weights of the classes in the training loss: ``"balanced"`` or a CSV file,
            see :func:`pyg_stgcn.runs.class_weights.class_weights` (default: all alike).
        balanced_sampler: Whether training clips are drawn so that every class comes equally often,
            see :class:`pyg_stgcn.runs.batches.BalancedSampler`.
        seed: Of the initialisation, the order of the clips and the augmentation.
        eval_views: Views of each clip over which the final evaluation averages probabilities.
        num_workers: Processes that prepare batches; the result does not depend on it.
        accelerator: As in Lightning: ``"auto"``, ``"cpu"``, ``"gpu"``, ...
        devices: As in Lightning: a number, or ``"auto"``.
        num_nodes: Machines taking part.
        strategy: As in Lightning: ``"auto"``, ``"ddp"``, ...
        precision: As in Lightning: ``"32-true"``, ``"16-mixed"``, ``"bf16-mixed"``, ``"64-true"``.
    """

    dataset: str
    root: str | None = None
    source: str | None = None
    skeleton: str | None = None
    benchmark: str | None = None
    strict: bool = False
    drop_leaks: bool = False
    skip_bad: bool = False
    val_split: float | None = None
    val: str | None = None
    hold_out: float = 0.0
    model: str = "stgcn"
    levels: list[float] = field(default_factory=list)
    experts: list[str] | None = None
    learned_weights: bool = False
    init: str | None = None
    freeze_backbone: bool = False
    skip_zeros: bool = False
    ticket: str | None = None
    redraw: bool = False
    save_epoch: int | None = None
    graph: str = "random"
    partitions: int | None = None
    stream: str = "joint"
    channels: int | None = None
    clip_frames: int | None = None
    pad_persons: int | None = None
    scale: bool = True
    rotation: float = 0.3
    scaling: float = 0.1
    augment: dict[str, float] = field(default_factory=dict)
    sparsity: float = 0.0
    edge_sparsity: float = 0.0
    method: str = "feedback"
    include: str | None = None
    exclude: str = UNMASKED
    structure: str = "unstructured"
    allocation: str | None = None
    min_density: float | None = None
    score_scale: str | None = None
    penalty: float = 0.0
    penalty_groups: str = "filter"
    schedule: str | None = None
    mask_update_every: int | None = None
    freeze_after: float | None = None
    warmup: float | None = None
    ramp_end: float | None = None
    score_lr: float | None = None
    score_weight_decay: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    weight_decay: float | None = None
    dropout: float = 0.0
    label_smoothing: float = 0.1
    class_weights: str | None = None
    balanced_sampler: bool = False
    seed: int = 0
    eval_views: int = 10
    num_workers: int = 0
    accelerator: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        """Check the range of every number.

        Raises:
            InputError: One is out of its range.
        """
        check_ranges(vars(self), TRAINING)
        check_devices(self.devices)

    def with_recipe(self, num_training_clips: int, benchmark: str | None) -> TrainConfig:
        """Fill in what the user left open."""
        recipe = default_recipe(num_training_clips)
        if self.batch_size is not None:
            recipe = recipe._replace(lr=recipe.lr * self.batch_size / recipe.batch_size)
        config = replace(self, benchmark=benchmark)._filled_in(recipe._asdict())
        assert config.epochs and config.batch_size and config.lr and config.weight_decay is not None
        plan = MASK_PLANS.get(self.method, MaskPlan())
        if self.schedule == "constant":  # It has no time before it.
            plan = plan._replace(warmup=0.0)
        steps = config.epochs * -(-num_training_clips // config.batch_size)
        seldom = max(1, min(plan.mask_update_every, steps // MASK_UPDATES))
        released = self.method == RELEASED
        return config._filled_in(
            {
                "experts": [self.model] * len(self.levels) if self.levels else None,
                **plan._asdict(),
                "mask_update_every": seldom,
                "score_lr": config.lr * (1 if released else SCORE_LR),
                "score_weight_decay": config.weight_decay if released else 0.0,
            }
        )

    def _filled_in(self, defaults: dict[str, Any]) -> TrainConfig:
        return replace(
            self, **{name: value for name, value in defaults.items() if getattr(self, name) is None}
        )

    @property
    def maskable(self) -> dict[str, Any]:
        """Which parameters are maskable, as arguments of :func:`pyg_stgcn.sparsity.report`."""
        return {
            "include": None if self.include is None else tuple(self.include.split(",")),
            "exclude": tuple(self.exclude.split(",")) if self.exclude else (),
            "edges": self.edge_sparsity > 0,
        }

    @property
    def architecture(self) -> str:
        """What is trained: the backbone, or those of the experts with their numbers."""
        if not self.levels:
            return self.model
        counts = Counter(self.experts or [self.model] * len(self.levels))
        return " + ".join(f"{count} {name}" for name, count in counts.items())

    def check_model(self) -> None:
        """Raise an error unless the options of the model, or of an assembly, fit together.

        Raises:
            InputError: They do not.
        """
        if self.partitions is not None and self.graph != "random":
            raise InputError(
                f"--partitions {self.partitions}: the graph {self.graph!r} has its own; "
                "leave it out, or choose --graph random"
            )
        if self.balanced_sampler and self.class_weights == "balanced":
            raise InputError(
                "--balanced-sampler: classes come equally often with it, and need no "
                "--class-weights balanced; leave out either"
            )
        if not self.levels:
            if self.experts is not None or self.learned_weights:
                option = "--learned-weights" if self.experts is None else "--experts"
                raise InputError(f"{option}: needs --levels, the sparsity of each expert")
            return
        if self.experts is not None and len(self.experts) != len(self.levels):
            raise InputError(
                f"--experts: {len(self.experts)} backbones for {len(self.levels)} levels; "
                "name one a level"
            )
        if self.sparsity:
            raise InputError(
                f"--sparsity {self.sparsity:g}: the experts of an assembly have their own; "
                "leave it out, or leave --levels out"
            )
        for name in ("freeze_backbone", "ticket", "save_epoch"):
            value = getattr(self, name)
            if value is not None and value is not False:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option}: is for a single model; leave it or --levels out")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: Path) -> TrainConfig:
        """Rebuild a configuration that :meth:`to_dict` made; ``source`` is named in errors.

        Raises:
            InputError: An option is unknown, missing or of another type.
        """
        types_of = get_type_hints(cls)
        if unknown := sorted(set(values) - set(types_of)):
            listed = ", ".join(shown(name)[1:-1] for name in unknown[:5])
            raise InputError(
                f"{source}: unknown options {listed}; "
                "the run was written by another version of pyg-stgcn"
            )
        needed = {"dataset": types_of.pop("dataset")}
        check_entries(values, needed, source, RESTORE, "options.")
        check_entries(values, types_of, source, RESTORE, "options.", all_needed=False)
        for name, value in values.items():
            if isinstance(value, str) and "\0" in value:  # No name and no path has one.
                raise InputError(f"{source}: options.{name} is {shown(value)}; {RESTORE}")
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{source}: options: {error}") from None


def save_config(path: Path, config: TrainConfig, facts: dict[str, Any]) -> None:
    """Write ``config.json``: the options, and facts about the data and the software."""
    write_json(path, {"options": config.to_dict(), **facts})


def load_config(path: Path) -> tuple[TrainConfig, dict[str, Any]]:
    """Read ``config.json``.

    Raises:
        InputError: The file is missing or is not the configuration of a run.
    """
    if not path.exists():
        raise InputError(f"{path.parent}: no config.json; name the folder of a training run")
    content = read_json(path, RESTORE)
    check_entries(content, {"options": dict}, path, RESTORE)
    config = TrainConfig.from_dict(content.pop("options"), path)
    # A run fills them in before it is written down.
    needed = [*Recipe._fields, *(["experts"] if config.levels else [])]
    if missing := [name for name in needed if getattr(config, name) is None]:
        raise InputError(f"{path}: options.{missing[0]} has no value; {RESTORE}")
    try:
        config.check_model()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return config, content
