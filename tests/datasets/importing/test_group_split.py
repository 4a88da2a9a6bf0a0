from __future__ import annotations

import numpy as np
import pytest

from pyg_stgcn.datasets.importing.group_split import choose_validation, groups_of
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
    assert groups_of(names, None) == names
    assert groups_of(names, r"s\d+") == ["s01", "s02", "s01"]
    assert groups_of(names, r"_s(\d+)_") == ["01", "02", "01"]
    with pytest.raises(InputError, match="no group in 1 name of 3, such as 'walk/a2_s02_e1'"):
        groups_of(names, "s01")
    with pytest.raises(InputError, match="the same group 'a' in all names"):
        groups_of(names, "a")
