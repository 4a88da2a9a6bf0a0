"""The options of a training as a page of the documents.

Run ``python -m pyg_stgcn.runs.options_table`` to print the page.
"""

from __future__ import annotations

from dataclasses import MISSING
from typing import get_type_hints

from pyg_stgcn.runs.option_fields import Option
from pyg_stgcn.runs.options import OPTIONS, TrainOptions

_HEAD = """# Options of a training

All options of `train`, which `sweep`, `lottery` and `assemble` also have. The name in the first
column is that of the Python argument, and of the entry in `config.toml`; on the command line
`batch_size` is `--batch-size`. Small data are fewer than 5,000 training clips.

`pyg-stgcn train --print-config` prints all values, `--config FILE` reads them from a file, and
options on the command line override the file. The `config.toml` of a run, given to `--config`,
repeats the run.

This page is printed by `python -m pyg_stgcn.runs.options_table`.
"""


def options_table() -> str:
    """The page in Markdown: one table for each group of the record."""
    parts = [_HEAD]
    for group, part in get_type_hints(TrainOptions).items():
        rows = [_row(option) for option in OPTIONS.values() if option.group == group]
        about = (part.__doc__ or "").strip()
        head = "| option | default | values | meaning |\n|---|---|---|---|"
        parts.append(f"## `[{group}]`\n\n{about}\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(option: Option) -> str:
    return f"| `{option.name}` | {_default(option)} | {_values(option)} | {option.help} |"


def _default(option: Option) -> str:
    if option.default is MISSING:
        return "required"
    if option.default is None:
        return str(option.auto)
    if option.default in ([], {}):
        return "none"
    return f"`{str(option.default).lower() if option.kind is bool else option.default}`"


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if option.allowed is not None:
        return str(option.allowed)
    names = {bool: "`true` or `false`", str: "text", list[str]: "texts"}
    return names.get(option.kind, "names with numbers")


if __name__ == "__main__":
    print(options_table(), end="")
