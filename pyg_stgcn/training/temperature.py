"""The temperature of a trained model, fitted on training clips that were held out."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from pyg_stgcn.datasets import SkeletonDataset
from pyg_stgcn.evaluation.evaluation_data import open_part
from pyg_stgcn.models import Assembly, Backbone
from pyg_stgcn.recognition.calibration import fit_temperature
from pyg_stgcn.runs.batches import (
    batch_transform,
    clip_transform,
    input_batch,
    make_loader,
    split_held_out,
)
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.training.stream_window import StreamWindow

_BATCH_SIZE = 64


def calibrate(
    run: Run, model: nn.Module, device: torch.device, window: StreamWindow | None = None
) -> dict[str, Any]:
    """Fit the temperature of a trained model.

    The clips are training clips that the model has not seen: those of ``hold_out``, else those
    of ``val_split``. Validation clips of the data themselves are often its test clips, and are
    never used. Of every clip there is one view; a model for streams sees its window in a stream.

    Args:
        run: The run.
        model: Trained, without masks, in evaluation mode.
        device: Device for the evaluation.
        window: Computes the logits of windows, of a training on a stream.

    Returns:
        ``temperature``, which is 1 without such clips, and their number, ``temperature_clips``.
    """
    clips = _held_out_clips(run)
    if clips is None:
        return {"temperature": 1.0, "temperature_clips": 0}
    context = 0 if window is None else window.context
    clips.transform = clip_transform(run.config, clips, train=False, num_views=1, context=context)
    model = cast(Backbone | Assembly, model.to(device))
    logits, labels = [], []
    transform = batch_transform(run.config, clips)
    loader = make_loader(
        clips, _BATCH_SIZE, run.config.optim.seed, shuffle=False, transform=transform
    )
    with torch.inference_mode():
        for batch in loader:
            batch = input_batch(batch, transform, device)
            arguments = batch.x, batch.batch, batch.num_graphs
            logits.append(model(*arguments) if window is None else window(*arguments)[0])
            labels.append(batch.y)
    temperature = fit_temperature(torch.cat(logits).cpu().numpy(), torch.cat(labels).cpu().numpy())
    return {"temperature": round(temperature, 6), "temperature_clips": len(clips)}


def _held_out_clips(run: Run) -> SkeletonDataset | None:
    data = run.config.data
    if data.hold_out:
        return split_held_out(open_part(run, run.config, "train"), data.hold_out)[1]
    return None if data.val_split is None else open_part(run, run.config, "val")
