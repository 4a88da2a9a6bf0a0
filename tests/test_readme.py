from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pyg_stgcn.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["logits"].shape == (4, 2)
    assert names["out"].shape == (2, 50, 10, 32)
    weights = [p for n, p in names["net"].named_parameters() if n.endswith("weight")]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    assert abs(zeros - 0.9 * sum(weight.numel() for weight in weights)) <= 1


COMMANDS = re.findall(r"^pyg-stgcn .*$", "\n".join(blocks("sh")), flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_line_is_understood(line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    command.make_context(name, arguments)


def test_options_in_the_table_exist() -> None:
    train = main.get_command(click.Context(main), "train")
    assert train is not None
    offered = {
        option
        for parameter in train.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    table = "\n".join(line for line in README.splitlines() if line.startswith("| `--"))
    named = set(re.findall(r"`(--[a-z-]+)`", table))
    assert named and named <= offered


def test_links_into_the_repository_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert "docs/results.md" in targets
    missing = [target for target in targets if not (REPOSITORY / target).exists()]
    assert not missing
