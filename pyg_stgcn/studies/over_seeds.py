"""Statistics over runs that differ only in their seeds."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

#: Of the confidence intervals.
CONFIDENCE = 0.95
#: Replaces the result of :func:`paired_difference` if there is nothing to compare with.
NO_DIFFERENCE = dict.fromkeys(("difference", "difference_low", "difference_high"))


def means(runs: Sequence[Mapping[str, Any]], names: Iterable[str] = ()) -> dict[str, Any]:
    """Means of the summaries of runs.

    Args:
        runs: Each with ``top1``, ``mean_class`` and ``seconds``.
        names: Further entries to average.

    Returns:
        ``seeds``, the number of runs; the means, that of the time as ``minutes``; and
        ``top1_deviation``, the standard deviation of the sample, ``None`` for a single run.

    >>> runs = [{"top1": top1, "mean_class": 0.5, "seconds": 90} for top1 in (0.25, 0.75)]
    >>> means(runs)["top1"], means(runs)["minutes"]
    (0.5, 1.5)
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
    """Mean of paired differences and the limits of its confidence interval (Student's t).

    Args:
        pairs: The differences; a single one has no interval.
        name: Of the mean; the limits are ``NAME_low`` and ``NAME_high``.
    """
    low, high = None, None
    if len(pairs) > 1:
        with warnings.catch_warnings():
            # Equal differences have no p-value, but their interval is right.
            warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
            interval = stats.ttest_1samp(pairs, 0).confidence_interval(CONFIDENCE)
        low, high = float(interval.low), float(interval.high)
    return {name: float(np.mean(pairs)), f"{name}_low": low, f"{name}_high": high}
