from __future__ import annotations

import math
import statistics

import pytest

from pyg_stgcn.studies.over_seeds import means, paired_difference


def test_the_interval_is_students() -> None:
    differences = [0.01, -0.02, 0.03, 0.0]
    # The 97.5 % quantile of t with three degrees of freedom, from a table.
    half = 3.18244630528 * statistics.stdev(differences) / math.sqrt(4)
    mean = statistics.mean(differences)
    found = paired_difference(differences, "lead")
    assert list(found) == ["lead", "lead_low", "lead_high"]
    assert list(found.values()) == pytest.approx([mean, mean - half, mean + half])


@pytest.mark.filterwarnings("error")
def test_equal_differences_have_an_interval_without_width() -> None:
    assert list(paired_difference([0.25] * 3).values()) == pytest.approx([0.25] * 3)


def test_a_single_difference_has_no_interval() -> None:
    expected = {"difference": 0.5, "difference_low": None, "difference_high": None}
    assert paired_difference([0.5]) == expected


def test_means_and_deviation() -> None:
    top1 = [0.8, 0.9, 0.7]
    runs = [{"top1": t, "mean_class": t / 2, "seconds": 60, "kept": 4 * t} for t in top1]
    found = means(runs, ["kept"])
    assert found["seeds"] == 3 and found["minutes"] == 1
    assert found["top1"] == pytest.approx(0.8) and found["mean_class"] == pytest.approx(0.4)
    assert found["kept"] == pytest.approx(3.2)
    assert found["top1_deviation"] == pytest.approx(statistics.stdev(top1))
    assert means(runs[:1])["top1_deviation"] is None
