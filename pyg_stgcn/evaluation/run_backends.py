"""Measurement of a run's trained model with several backends, for a table and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.assembly import Assembly
from pyg_stgcn.models.backbone import Backbone
from pyg_stgcn.plots.costs import plot_bench
from pyg_stgcn.profiling.backends import BACKENDS, why_not_backend
from pyg_stgcn.profiling.dense_engines import engine_instructions
from pyg_stgcn.profiling.measure import Measurement, Setting, compare_backends
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_files import RunFiles
from pyg_stgcn.runs.software import software_versions
from pyg_stgcn.tables import write_csv, write_json


def bench_run(
    run: Run,
    folder: Path,
    backends: Sequence[str] | None,
    settings: Sequence[Setting],
    rounds: int,
    device: str,
    tell: Callable[[str], None],
    figure: Path | None = None,
) -> list[Measurement]:
    """Measure a trained model with several backends; write ``bench.csv``, ``.json`` and ``.png``.

    Args:
        run: The run.
        folder: Folder of the files.
        backends: Backends to compare with the first of them (default: all available ones, with
            eager).
        settings: The sizes to measure.
        rounds: Number of passes of every backend.
        device: Device of the model.
        tell: Receives a line about every step and every backend that is not available.
        figure: Another file for the figure, such as a PDF.

    Raises:
        InputError: If a named backend is not available.
    """
    model = cast(Backbone | Assembly, run.load_model().to(device))
    chosen = _chosen(backends, model, torch.device(device), tell)
    files = RunFiles(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"run": str(run.folder), "device": device, "rounds": rounds}
    metadata["versions"] = software_versions("onnxruntime", "openvino")
    metadata["instructions"] = {backend: engine_instructions(backend) for backend in chosen}
    found: list[Measurement] = []
    for entry in compare_backends(model, chosen, settings, rounds, tell):
        found.append(entry)
        if len(found) % len(chosen):
            continue
        rows = [entry.to_dict() for entry in found]
        write_csv(files.bench("csv"), list(rows[0]), rows)
        write_json(files.bench("json"), {**metadata, "measurements": rows})
        plot_bench((files.bench("png"), figure), rows)
    return found


def _chosen(
    backends: Sequence[str] | None,
    model: Backbone | Assembly,
    device: torch.device,
    tell: Callable[[str], None],
) -> list[str]:
    reasons = {backend: why_not_backend(backend, device, model) for backend in backends or BACKENDS}
    for backend, reason in reasons.items():
        if reason and backends is not None:
            raise InputError(f"backend {backend!r}: {reason}; leave it out")
        if reason:
            tell(f"left out: {backend}, which {reason}")
    return [backend for backend, reason in reasons.items() if not reason]
