"""The forms of a run's trained model, measured, in a table and a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.plots.curves import plot_bench
from pyg_stgcn.profiling.backends import BACKENDS, why_not_backend
from pyg_stgcn.profiling.measure import Measurement, Setting, compare_backends
from pyg_stgcn.runs.folder import Run, software_versions
from pyg_stgcn.tables import write_csv, write_json


def bench_run(
    run: Run,
    folder: Path,
    forms: Sequence[str] | None,
    settings: Sequence[Setting],
    rounds: int,
    device: str,
    tell: Callable[[str], None],
) -> list[Measurement]:
    """Measure the forms of a trained model; leave ``bench.csv``, ``bench.json`` and ``bench.png``.

    Args:
        run: The run.
        folder: Where to leave them.
        forms: What to compare with the first of them (default: all that can be had, with eager).
        settings: What to run.
        rounds: How often.
        device: Where.
        tell: Told what is being done, and which forms are left out as they cannot be had here.

    Raises:
        InputError: If a form that is named cannot be had here.
    """
    chosen = _chosen(forms, torch.device(device), tell)
    model = cast(Backbone, run.load_model().to(device))
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"run": str(run.folder), "device": device, "rounds": rounds}
    facts["versions"] = software_versions()
    found: list[Measurement] = []
    for entry in compare_backends(model, chosen, settings, rounds, tell):
        found.append(entry)
        if len(found) % len(chosen):
            continue
        rows = [entry.to_dict() for entry in found]
        write_csv(folder / "bench.csv", list(rows[0]), rows)
        write_json(folder / "bench.json", {**facts, "measurements": rows})
        plot_bench(folder / "bench.png", rows)
    return found


def _chosen(
    forms: Sequence[str] | None, device: torch.device, tell: Callable[[str], None]
) -> list[str]:
    reasons = {form: why_not_backend(form, device) for form in forms or BACKENDS}
    for form, reason in reasons.items():
        if reason and forms is not None:
            raise InputError(f"form {form!r}: {reason}; leave it out of --forms")
        if reason:
            tell(f"left out: {form}, which {reason}")
    return [form for form, reason in reasons.items() if not reason]
