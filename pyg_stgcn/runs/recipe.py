"""Width, length and pace of a training, for the amount of data."""

from __future__ import annotations

from typing import NamedTuple


class Recipe(NamedTuple):
    """What suits an amount of training data; the learning rate is that for the batch size."""

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
#: Below this many training clips the published width and batch size only cost time. What weight
#: decay does in a whole training is the sum of learning rate times decay over its steps: about 0.6
#: for the published recipe on NTU RGB+D 60. With its decay it would be 0.02 for this one on a few
#: hundred clips, which takes a tenth of the steps: next to nothing, and pruning would keep what was
#: large by chance at the start. This decay makes it 0.3; with 0.6, sparse networks did worse.
SMALL_DATA_CLIPS = 5_000
SMALL_DATA_RECIPE = Recipe(
    channels=16, clip_frames=48, epochs=100, batch_size=16, lr=0.025, weight_decay=0.01
)
#: How often training clips are seen in all, if they are fewer than the 430 of UTD-MHAD, on which
#: this recipe was chosen: two hundred take as many steps, and so twice the epochs.
SMALL_DATA_VIEWS = 43_000
SMALL_DATA_MAX_EPOCHS = 400


def default_recipe(num_training_clips: int) -> Recipe:
    """The recipe used for the options that the user leaves open."""
    if num_training_clips >= SMALL_DATA_CLIPS:
        return PUBLISHED_RECIPE
    # In tens, so that there is an interval for validations that divides it.
    epochs = 10 * round(SMALL_DATA_VIEWS / max(num_training_clips, 1) / 10)
    epochs = min(max(epochs, SMALL_DATA_RECIPE.epochs), SMALL_DATA_MAX_EPOCHS)
    return SMALL_DATA_RECIPE._replace(epochs=epochs)
