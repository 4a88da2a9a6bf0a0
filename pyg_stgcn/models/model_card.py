"""The model card of a folder: what the model is, what was measured, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from pyg_stgcn.text import count, printable

_HEAD = """---
library_name: pyg-stgcn
tags:
- skeleton-action-recognition
- pytorch-geometric
---
"""
_USE = """
## Use

```python
from pyg_stgcn.recognition import Recognizer

recognizer = Recognizer.from_pretrained("REPOSITORY OR FOLDER")
recognizer.predict(poses)  # [persons, frames, joints, channels]
```
"""
_TRAIN = """
The network alone, for training and for other code:

```python
from pyg_stgcn.models import {kind}

model = {kind}.from_pretrained("REPOSITORY OR FOLDER")
```
"""


def model_card(
    model: nn.Module, config: Mapping[str, Any], num_bytes: int, results: Mapping[str, float]
) -> str:
    """The text of ``README.md``, in Markdown with the metadata of the Hugging Face Hub.

    Args:
        model: The model.
        config: The content of ``config.json``.
        num_bytes: Length of the file of the weights.
        results: Measured results, by name.
    """
    weights = [value for value in model.parameters() if value.dim() > 1]
    total = sum(value.numel() for value in weights)
    zeros = sum(int((value == 0).sum()) for value in weights)
    names = ", ".join(entry["name"] for entry in config["backbones"])
    skeleton = config["skeleton"]
    metadata = {
        "network": f"assembly of {names}" if config["assembly"] else names,
        "skeleton": f"{skeleton['name']}, {count(len(skeleton['joints']), 'joint')}",
        "classes": config["num_classes"],
        "parameters": f"{sum(value.numel() for value in model.parameters()):,}",
        "zeros among the weights": f"{100 * zeros / total:.1f} %",
        "size of the weights": f"{num_bytes:,} bytes",
        **{name: f"{value:.4g}" for name, value in results.items()},
    }
    title = f"# {names} on {skeleton['name']}\n\n" if not config["assembly"] else "# Assembly\n\n"
    parts = [_HEAD, title, "Skeleton action recognition with pyg-stgcn.\n\n", "| | |\n|---|---|\n"]
    parts += [f"| {_cell(name)} | {_cell(value)} |\n" for name, value in metadata.items()]
    if config["preprocessing"] is not None:
        parts.append("\n## Preprocessing\n\n| option | value |\n|---|---|\n")
        parts += [
            f"| `{_cell(name)}` | {_cell(value)} |\n"
            for name, value in config["preprocessing"].items()
        ]
    if config["classes"] is not None:
        parts.append("\n## Classes\n\n")
        parts += [f"{number}. {_cell(name)}\n" for number, name in enumerate(config["classes"])]
    if config["classes"] is not None and config["preprocessing"] is not None:
        parts.append(_USE)
    parts.append(_TRAIN.format(kind="Assembly" if config["assembly"] else "Backbone"))
    return "".join(parts)


def _cell(value: object) -> str:
    return printable(value).replace("|", "\\|")
