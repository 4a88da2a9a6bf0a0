"""Values of options that depend on the amount of data and on the method of pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyg_stgcn.runs.options import RELEASED
from pyg_stgcn.sparsity.allocation import MIN_DENSITY
from pyg_stgcn.text import count

if TYPE_CHECKING:
    from pyg_stgcn.runs.options import TrainOptions


class Recipe(NamedTuple):
    """Width, length and optimisation of a training; the learning rate is for the batch size."""

    channels: int
    clip_frames: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float


#: PYSKL's recipe (16 epochs over a training set repeated five times).
PUBLISHED_RECIPE = Recipe(
    channels=64, clip_frames=100, epochs=80, batch_size=128, lr=0.1, weight_decay=5e-4
)
#: With fewer training clips, the published width and batch size only cost time. The total effect of
#: weight decay is the sum of learning rate times decay over all steps: about 0.6 for the published
#: recipe on NTU RGB+D 60. This recipe takes a tenth of the steps on a few hundred clips. With the
#: published decay the sum would be 0.02, and pruning would keep weights that were large by chance
#: at the start. The decay below makes it 0.3; with 0.6, sparse networks were worse.
SMALL_DATA_CLIPS = 5_000
SMALL_DATA_RECIPE = Recipe(
    channels=16, clip_frames=48, epochs=100, batch_size=16, lr=0.025, weight_decay=0.01
)
#: Training clips seen in a whole training on small data: the recipe was chosen on the 430 clips of
#: UTD-MHAD, and half as many clips need twice the epochs for as many steps.
SMALL_DATA_VIEWS = 43_000
SMALL_DATA_MAX_EPOCHS = 400


class MaskPlan(NamedTuple):
    """Times and rules of the mask changes of a method."""

    schedule: str = "cubic"
    warmup: float = 0.0
    #: Steps from one change to the next, at most.
    mask_update_every: int = 1
    freeze_after: float | None = None
    allocation: str = "erk"
    min_density: float = MIN_DENSITY
    score_scale: str = "fan_in"


#: Learning rate of the scores of method "score", for a learning rate of one.
SCORE_LR = 10.0
#: Fraction of the training after the warm-up in which a ramp reaches its target.
RAMP = 0.3

_DYNAMIC = MaskPlan("constant", mask_update_every=100, freeze_after=0.75)
#: Default plan of each method. Dynamic methods are sparse from the start, and fix their masks
#: for the last quarter, as published.
MASK_PLANS: dict[str, MaskPlan] = {
    "rigl": _DYNAMIC,
    "set": _DYNAMIC,
    "random": MaskPlan("constant"),
    RELEASED: MaskPlan("step", 0.6, allocation="global", min_density=0.0, score_scale="none"),
}
#: Least number of mask changes of rigl and set, also in a short training.
MASK_UPDATES = 30

#: Options that a run fills in if they are None.
FILLED_IN = {*Recipe._fields, *MaskPlan._fields}
FILLED_IN |= {"benchmark", "experts", "score_lr", "score_weight_decay"}


def default_recipe(num_training_clips: int, name: str = "auto") -> tuple[str, Recipe]:
    """The recipe for an amount of data, and its name.

    Args:
        num_training_clips: Number of training clips.
        name: ``"small"`` or ``"published"`` to choose one whatever the amount.
    """
    if name == "auto":
        name = "published" if num_training_clips >= SMALL_DATA_CLIPS else "small"
    if name == "published":
        return name, PUBLISHED_RECIPE
    # A multiple of ten, so that some interval of validations divides it.
    epochs = 10 * round(SMALL_DATA_VIEWS / max(num_training_clips, 1) / 10)
    epochs = min(max(epochs, SMALL_DATA_RECIPE.epochs), SMALL_DATA_MAX_EPOCHS)
    return name, SMALL_DATA_RECIPE._replace(epochs=epochs)


def describe_recipe(options: TrainOptions, num_training_clips: int) -> str:
    """One line about the recipe of complete options.

    Example:
        ``recipe: small data (431 clips): width 16, 48 frames, 100 epochs``
    """
    name, _ = default_recipe(num_training_clips, options.optim.recipe)
    kind = "small data" if name == "small" else name
    frames, epochs = options.data.clip_frames, options.optim.epochs
    assert frames is not None and epochs is not None
    return (
        f"recipe: {kind} ({count(num_training_clips, 'clip')}): width {options.model.channels}, "
        f"{count(frames, 'frame')}, {count(epochs, 'epoch')}"
    )


def complete(options: TrainOptions, num_training_clips: int, benchmark: str | None) -> TrainOptions:
    """Fill in the options that are ``None`` and depend on the data or on other options."""
    _, recipe = default_recipe(num_training_clips, options.optim.recipe)
    if options.optim.batch_size is not None:
        recipe = recipe._replace(lr=recipe.lr * options.optim.batch_size / recipe.batch_size)
    options = _filled_in(options.replace(benchmark=benchmark), recipe._asdict())
    optim = options.optim
    assert optim.epochs and optim.batch_size and optim.lr and optim.weight_decay is not None
    method = options.sparsity.method
    plan = MASK_PLANS.get(method, MaskPlan())
    if options.sparsity.schedule == "constant":  # It starts at once.
        plan = plan._replace(warmup=0.0)
    steps = optim.epochs * -(-num_training_clips // optim.batch_size)
    seldom = max(1, min(plan.mask_update_every, steps // MASK_UPDATES))
    levels = len(options.model.levels)
    values = {
        "experts": [options.model.backbone] * levels if levels else None,
        **plan._asdict(),
        "mask_update_every": seldom,
        "score_lr": optim.lr * (1 if method == RELEASED else SCORE_LR),
        "score_weight_decay": optim.weight_decay if method == RELEASED else 0.0,
    }
    return _filled_in(options, values)


def _filled_in(options: TrainOptions, defaults: dict[str, Any]) -> TrainOptions:
    given = options.flat()
    return options.replace(**{name: v for name, v in defaults.items() if given[name] is None})
