"""What runs that differ in their seeds only say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

#: Of the confidence intervals.
CONFIDENCE = 0.95
#: In place of :func:`paired_difference` where there is nothing to compare with.
NO_DIFFERENCE = dict.fromkeys(("difference", "difference_low", "difference_high"))


def means(runs: Sequence[Mapping[str, Any]], names: Iterable[str] = ()) -> dict[str, Any]:
    """Means of the summaries of runs.

    Args:
        runs: Each with ``top1``, ``mean_class`` and ``seconds``.
        names: Further entries to average.

    Returns:
        ``seeds``, the number of runs; the means, that of the time as ``minutes``; and
        ``top1_deviation``, of the sample, ``None`` for a single run.
    """
    top1 = [run["top1"] for run in runs]
    averaged = {
        name: float(np.mean([run[name] for run in runs])) for name in ("top1", "mean_class", *names)
    }
    return averaged | {
        "seeds": len(runs),
        "top1_deviation": float(np.std(top1, ddof=1)) if len(runs) > 1 else None,
        "minutes": float(np.mean([run["seconds"] for run in runs])) / 60,
    }


def paired_difference(pairs: Sequence[float], name: str = "difference") -> dict[str, float | None]:
    """Mean of paired differences and the limits of its interval, as entries of a table.

    Args:
        pairs: The differences; of fewer than two there is no interval.
        name: Of the mean; the limits are ``NAME_low`` and ``NAME_high``.
    """
    low, high = paired_interval(pairs) if len(pairs) > 1 else (None, None)
    return {name: float(np.mean(pairs)), f"{name}_low": low, f"{name}_high": high}


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Confidence interval of the mean of paired differences.

    Args:
        differences: Of two pairs at least.
    """
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)
    mean, half = np.mean(differences), quantile * stats.sem(differences)
    return float(mean - half), float(mean + half)
