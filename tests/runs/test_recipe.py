from __future__ import annotations

import pytest

from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.recipe import PUBLISHED_RECIPE, SMALL_DATA_RECIPE


def test_recipe_depends_on_the_amount_of_data() -> None:
    large = TrainOptions.of(dataset="ntu60").with_recipe(40_091, "xsub")
    assert (large.model.channels, large.data.clip_frames, large.optim.epochs) == (64, 100, 80)
    assert (large.optim.batch_size, large.optim.lr, large.optim.weight_decay) == (128, 0.1, 5e-4)
    small = TrainOptions.of(dataset="utd-mhad").with_recipe(431, "xsub")
    assert small.model.channels == SMALL_DATA_RECIPE.channels
    assert small.optim.lr == SMALL_DATA_RECIPE.lr
    assert small.data.benchmark == "xsub"


@pytest.mark.parametrize(
    ("clips", "epochs"), [(0, 400), (50, 400), (227, 190), (431, 100), (4_999, 100), (5_000, 80)]
)
def test_fewer_clips_are_seen_more_often(clips: int, epochs: int) -> None:
    assert TrainOptions.of(dataset="mine.pkl").with_recipe(clips, None).optim.epochs == epochs


def test_learning_rate_grows_with_the_batch_and_scores_follow_it() -> None:
    config = TrainOptions.of(dataset="ntu60", batch_size=32).with_recipe(40_091, None)
    assert config.optim.lr == pytest.approx(0.025)
    assert config.sparsity.score_lr == pytest.approx(0.25)


def test_what_the_user_gave_is_kept() -> None:
    given = {"channels": 8, "clip_frames": 20, "epochs": 3, "batch_size": 4, "lr": 0.2}
    given |= {"weight_decay": 0.0, "score_lr": 0.0}
    config = TrainOptions.of(dataset="mine.pkl", **given).with_recipe(100, None)
    assert {name: config.flat()[name] for name in given} == given


def test_weights_decay_half_as_much_on_small_data() -> None:
    # The sum of learning rate times decay over all steps of a cosine, which halves it.
    totals = []
    for recipe, clips in ((PUBLISHED_RECIPE, 40_091), (SMALL_DATA_RECIPE, 431)):
        steps = recipe.epochs * clips / recipe.batch_size
        totals.append(0.5 * recipe.lr * recipe.weight_decay * steps)
    assert totals[1] == pytest.approx(0.5 * totals[0], rel=0.2)


def test_seldom_updates_are_no_rarer_than_thirty_in_a_training() -> None:
    long = TrainOptions.of(dataset="ntu60", method="rigl").with_recipe(40_091, None)
    assert long.sparsity.mask_update_every == 100
    # 27 steps an epoch, 40 epochs.
    short = TrainOptions.of(dataset="utd-mhad", method="set", epochs=40).with_recipe(431, None)
    assert short.sparsity.mask_update_every == 36
    tiny = TrainOptions.of(dataset="mine.pkl", method="rigl", epochs=1).with_recipe(40, None)
    assert tiny.sparsity.mask_update_every == 1
    assert (
        TrainOptions.of(dataset="mine.pkl", method="score")
        .with_recipe(40, None)
        .sparsity.mask_update_every
        == 1
    )


def test_released_settings_stand_together_and_can_be_changed_one_by_one() -> None:
    ours = TrainOptions.of(dataset="ntu60", method="score").with_recipe(40_091, None)
    assert (ours.sparsity.schedule, ours.sparsity.warmup) == ("cubic", 0)
    assert (ours.sparsity.allocation, ours.sparsity.min_density, ours.sparsity.score_scale) == (
        "erk",
        0.25,
        "fan_in",
    )
    assert (ours.sparsity.score_lr, ours.sparsity.score_weight_decay) == (10 * ours.optim.lr, 0)
    released = TrainOptions.of(dataset="ntu60", method="released").with_recipe(40_091, None)
    assert (released.sparsity.schedule, released.sparsity.warmup) == ("step", 0.6)
    assert (released.sparsity.allocation, released.sparsity.score_scale) == ("global", "none")
    assert released.sparsity.min_density == 0
    assert (released.sparsity.score_lr, released.sparsity.score_weight_decay) == (
        released.optim.lr,
        5e-4,
    )
    mixed = TrainOptions.of(
        dataset="ntu60", method="released", min_density=0.1, warmup=0.0
    ).with_recipe(40_091, None)
    assert (mixed.sparsity.min_density, mixed.sparsity.warmup, mixed.sparsity.allocation) == (
        0.1,
        0.0,
        "global",
    )
    constant = TrainOptions.of(dataset="ntu60", method="released", schedule="constant")
    assert constant.with_recipe(40_091, None).sparsity.warmup == 0
