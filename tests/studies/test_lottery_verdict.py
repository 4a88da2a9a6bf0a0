from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pyg_stgcn.studies.lottery_verdict import COLUMNS, rows_of, verdict

DENSE = [0.90, 0.92]


def runs_of(
    variants: Mapping[str, Sequence[float]], *, round_: int, kept: float
) -> list[dict[str, Any]]:
    """Runs of each variant, one a seed."""
    common = {"kept": kept, "params_kept_fraction": kept, "seconds": 60}
    return [
        {"variant": name, "round": round_, "seed": seed, "top1": top1, "mean_class": top1, **common}
        for name, values in variants.items()
        for seed, top1 in enumerate(values)
    ]


def lottery(**variants: Sequence[float]) -> list[dict[str, Any]]:
    dense = runs_of({"dense": DENSE[: len(variants["ticket"])]}, round_=0, kept=1.0)
    return rows_of(dense + runs_of(variants, round_=1, kept=0.2))


def test_a_ticket_wins_against_both_controls() -> None:
    rows = lottery(ticket=[0.91, 0.93], random=[0.80, 0.8201], redrawn=[0.85, 0.8701])
    assert [row["wins"] for row in rows] == [None, True, None, None]
    assert verdict(rows) == "winning tickets at 20 % of the weights"
    assert list(rows[0]) == list(COLUMNS)


def test_pairs_are_of_the_same_seed() -> None:
    # The seeds come in another order.
    variants = {"random": [0.5, 0.7], "ticket": [0.6, 0.9]}
    dense = runs_of({"dense": DENSE}, round_=0, kept=1.0)
    found = runs_of(variants, round_=1, kept=0.2)
    random, ticket = rows_of(dense + found[::-1])[:0:-1]
    assert random["lead"] == pytest.approx((0.1 + 0.2) / 2)
    # Half the interval of two pairs: 12.7062 times half their distance.
    half = 12.7062047362 * 0.05
    assert random["lead_low"] == pytest.approx(0.15 - half)
    assert ticket["difference"] == pytest.approx((0.6 - 0.9 + 0.9 - 0.92) / 2)


def test_a_ticket_behind_the_dense_runs_does_not_win() -> None:
    rows = lottery(ticket=[0.88, 0.90], random=[0.60, 0.6201], redrawn=[0.65, 0.6701])
    # The mean of the dense runs is 0.91, their deviation 0.0141.
    assert rows[1]["wins"] is False
    assert verdict(rows) == "no winning ticket; worse than dense at 20 % of the weights"


def test_a_control_level_with_the_ticket_is_named() -> None:
    rows = lottery(ticket=[0.91, 0.93], random=[0.80, 0.8201], redrawn=[0.95, 0.80])
    assert verdict(rows) == (
        "no winning ticket; not clearly better than redrawn at 20 % of the weights"
    )


@pytest.mark.parametrize(
    "variants",
    [
        {"ticket": [0.9], "random": [0.8], "redrawn": [0.8]},
        {"ticket": [0.91, 0.93], "random": [0.80, 0.82]},
    ],
)
def test_one_seed_or_one_control_gives_no_verdict(variants: dict[str, list[float]]) -> None:
    rows = lottery(**variants)
    assert {row["wins"] for row in rows} == {None}
    assert "no verdict" in verdict(rows)
