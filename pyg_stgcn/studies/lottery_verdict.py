"""The verdict of a lottery: a table of its runs, and the winning tickets in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyg_stgcn.studies.over_seeds import means, paired_difference

#: Controls of a ticket with the same number of weights: as many weights of each layer chosen at
#: random, and the same weights with new initial values.
CONTROLS = ("random", "redrawn")
#: The other variants.
DENSE, TICKET = "dense", "ticket"
#: Of the table.
COLUMNS = (
    "variant",
    "round",
    "kept",
    "seeds",
    "top1",
    "top1_deviation",
    "mean_class",
    "difference",
    "difference_low",
    "difference_high",
    "lead",
    "lead_low",
    "lead_high",
    "wins",
    "params_kept_fraction",
    "minutes",
)


def rows_of(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each variant of each round, see :meth:`Lottery.summarise`.

    Args:
        runs: ``variant``, ``round``, ``seed``, ``kept``, ``params_kept_fraction``, ``top1``,
            ``mean_class`` and ``seconds`` of each, the dense ones first.
    """
    groups: dict[tuple[int, str], dict[int, Mapping[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["round"], run["variant"]), {})[run["seed"]] = run
    dense = groups[0, DENSE]
    rows = []
    for (number, variant), group in groups.items():
        row = _means(group)
        if variant != DENSE:
            row |= _paired("difference", group, dense)
        if variant in CONTROLS:
            row |= _paired("lead", groups[number, TICKET], group)
        rows.append(row)
    for row in rows:
        if row["variant"] == TICKET:
            controls = [r for r in rows if r["round"] == row["round"] and r["variant"] in CONTROLS]
            row["wins"] = _wins(row, rows[0], controls)
    return rows


def _means(group: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    runs = list(group.values())
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {name: runs[0][name] for name in ("variant", "round")}
    return row | means(runs, ["kept", "params_kept_fraction"])


def _paired(
    name: str, group: Mapping[int, Mapping[str, Any]], other: Mapping[int, Mapping[str, Any]]
) -> dict[str, float | None]:
    """Mean difference in top-1 of runs with the same seed, and its interval for two or more."""
    pairs = [run["top1"] - other[seed]["top1"] for seed, run in group.items()]
    return paired_difference(pairs, name)


def _wins(
    ticket: Mapping[str, Any], dense: Mapping[str, Any], controls: Sequence[Mapping[str, Any]]
) -> bool | None:
    if dense["top1_deviation"] is None or len(controls) < len(CONTROLS):
        return None
    level = ticket["top1"] >= dense["top1"] - dense["top1_deviation"]
    return bool(level and all(row["lead_low"] > 0 for row in controls))


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """The densities at which tickets win, in words, and the reasons why others do not."""
    tickets = [row for row in rows if row["variant"] == TICKET]
    if any(row["wins"] is None for row in tickets):
        return "no verdict: both controls and at least two seeds are needed"
    level = rows[0]["top1"] - rows[0]["top1_deviation"]
    won = [_density(row) for row in tickets if row["wins"]]
    sentences = [f"winning tickets at {', '.join(won)}" if won else "no winning ticket"]
    behind = [_density(row) for row in tickets if row["top1"] < level]
    if behind:
        sentences.append(f"worse than dense at {', '.join(behind)}")
    for control in CONTROLS:
        similar = [
            _density(row) for row in rows if row["variant"] == control and not row["lead_low"] > 0
        ]
        if similar:
            sentences.append(f"not clearly better than {control} at {', '.join(similar)}")
    return "; ".join(sentences) + " of the weights"


def _density(row: Mapping[str, Any]) -> str:
    return f"{100 * row['kept']:.3g} %"
