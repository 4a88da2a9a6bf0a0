from __future__ import annotations

import numpy as np
import pytest

from pyg_stgcn.datasets.importing.group_split import (
    choose_validation,
    groups_of,
    warn_of_one_sided,
)
from pyg_stgcn.errors import InputError


def test_every_class_has_its_fraction_and_the_seed_decides() -> None:
    labels = np.repeat([0, 1, 2, 3], [10, 20, 5, 2])
    names = [f"clip{i}" for i in range(len(labels))]
    chosen = choose_validation(labels, names, 0.2, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [2, 4, 1, 1]
    assert (choose_validation(labels, names, 0.2, seed=0) == chosen).all()
    assert (choose_validation(labels, names, 0.2, seed=1) != chosen).any()
    nearly_all = choose_validation(labels, names, 0.99, seed=0)
    assert np.bincount(labels[~nearly_all]).min() >= 1


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, subjects = rng.integers(0, 4, 400), rng.integers(0, 10, 400)
    chosen = choose_validation(labels, [f"s{subject}" for subject in subjects], 0.3, seed)
    validation, training = (set(subjects[part]) for part in (chosen, ~chosen))
    assert validation and training and not validation & training
    assert 0.15 < chosen.mean() < 0.45
    assert set(labels[chosen]) == set(labels[~chosen]) == {0, 1, 2, 3}


def test_two_large_groups_are_divided_too() -> None:
    assert choose_validation([0, 1, 0, 1], ["a", "a", "b", "b"], 0.2, seed=0).sum() == 2
    with pytest.raises(InputError, match="single recording or group"):
        choose_validation([0, 1], ["a", "a"], 0.2, seed=0)


def test_a_group_is_what_the_expression_finds() -> None:
    names = ["wave/a1_s01_e1", "walk/a2_s02_e1", "walk/a2_s01_e2"]
    labels = [name.split("/")[0] for name in names]
    assert groups_of(names, labels, None) == names
    assert groups_of(names, labels, r"s\d+") == ["s01", "s02", "s01"]
    assert groups_of(names, labels, r"_s(\d+)_") == ["01", "02", "01"]
    with pytest.raises(InputError, match="no group in 1 name of 3, such as 'walk/a2_s02_e1'"):
        groups_of(names, labels, "s01")
    with pytest.raises(InputError, match="the same group 'a' in all names"):
        groups_of(names, labels, "a")


def test_the_folder_of_the_class_is_no_group() -> None:
    names = ["class1/s01_x", "s02/class2/x"]
    assert groups_of(names, ["class1", "class2"], r"s\d+") == ["s01", "s02"]


def test_classes_on_one_side_are_named(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_one_sided([0, 0, 1, 2, -1], np.array([0, 1, 1, 0, 0], bool), ["a", "b", "c"])
    training, validation = caplog.messages
    assert "1 class without training clips ('b')" in training
    assert "1 class without validation clips ('c')" in validation
    caplog.clear()
    warn_of_one_sided([0, 0], np.array([0, 1], bool), ["a"])
    assert not caplog.messages
