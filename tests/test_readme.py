from __future__ import annotations

import re
import runpy
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from pyg_stgcn.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").rglob("*.md"))]
#: Loops and file names of a shell, which no command line takes.
SHELL = re.compile(r"[$*{|]")


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def title(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The names that the Python blocks of a page define, run one after the other."""
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, title(page), "exec"), names)
    return names


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(README, tmp_path, monkeypatch)
    assert names["logits"].shape == (3, 60)
    maskable = [p for n, p in names["model"].named_parameters() if n.endswith(".weight")]
    maskable = [p for p in maskable if p.dim() > 1]
    zeros = sum(int((weight == 0).sum()) for weight in maskable)
    assert zeros == pytest.approx(0.9 * sum(weight.numel() for weight in maskable), abs=2)


def test_python_of_the_training_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(REPOSITORY / "docs/guide-train.md", tmp_path, monkeypatch)
    assert names["logits"].shape == (4, 2)
    assert len(names["arrays"]) == 14


def test_python_of_the_models_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *_ = blocks(REPOSITORY / "docs/reference/models.md", "python")
    names: dict[str, object] = {}
    exec(compile(first, "models.md", "exec"), names)
    assert names["maps"].shape[:1] + names["maps"].shape[2:3] == (3, 20)
    assert names["features"].shape == (2, names["model"].num_features)


def test_layers_and_explanations_of_the_models_page_run() -> None:
    page = (REPOSITORY / "docs/reference/models.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page[page.index("## Layers") :], re.S | re.M):
        exec(compile(block, "models.md", "exec"), names)
    assert names["out"].shape == (17, 50, 16)
    assert names["found"].node_mask.shape == (2 * 17, 1)
    assert names["found"].edge_mask.shape == names["graph"].edge_index.shape[1:]
    assert (names["found"].edge_mask > 0).all()


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_imports_of_python_blocks_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        pattern = r"^from (pyg_stgcn[\w.]*) import (?:\(([^)]*)\)|(.*))$"
        for module, several, one in re.findall(pattern, block, flags=re.MULTILINE):
            for name in re.findall(r"\w+", several or one.split("#")[0]):
                assert hasattr(import_module(module), name), f"{module}.{name}"


COMMANDS = sorted(
    {
        (title(page), line)
        for page in PAGES
        for block in blocks(page, "sh")
        for line in re.findall(r"^ *(pyg-stgcn .*)$", block.replace("\\\n", ""), flags=re.MULTILINE)
        if not SHELL.search(line)
    }
)


assert len(COMMANDS) > 30


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_command_line_is_understood(page: str, line: str) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name = arguments.pop(0)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    command.make_context(name, arguments)


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_options_exist(page: Path) -> None:
    """Options in the text of a page are those of a command, of a benchmark or of pip."""
    offered = {"--no-build-isolation", "--no-deps", "--index-url", "--help"}
    todo: list[click.Command] = [main]
    while todo:
        command = todo.pop()
        if isinstance(command, click.Group):
            context = click.Context(main)
            found = (command.get_command(context, n) for n in command.list_commands(context))
            todo += [each for each in found if each is not None]
        for parameter in command.params:
            offered |= {*parameter.opts, *parameter.secondary_opts}
    for script in (REPOSITORY / "benchmarks").glob("*.py"):
        offered |= set(re.findall(r'"(--[\w-]+)"', script.read_text(encoding="utf-8")))
    named = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", page.read_text(encoding="utf-8")))
    assert named <= offered


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_benchmarks_exist(page: Path) -> None:
    lines = re.findall(r"python (benchmarks/[\w./]*\w)([^`\n]*)", page.read_text("utf-8"))
    for name, arguments in lines:
        script = REPOSITORY / name
        source = (script / "__main__.py" if script.is_dir() else script).read_text("utf-8")
        for option in re.findall(r"--[\w-]+", arguments):
            assert f'"{option}"' in source, f"{name} {option}"


def test_the_figure_of_the_readme_has_the_numbers_of_the_tables() -> None:
    drawn = runpy.run_path(str(REPOSITORY / "benchmarks" / "results_figure.py"))
    top1, faster = drawn["accuracies"](), drawn["speedups"]()
    assert top1["random"][95] == pytest.approx((89.30, 87.45, 91.15))
    assert top1["dense"][0] == pytest.approx((87.98, 85.41, 90.55))
    assert faster["ST-GCN"][95] == (7.2, 6.0, 7.9)
    for names, found in ((drawn["METHODS"], top1), (drawn["MODELS"], faster)):
        assert all(set(drawn["SPARSITIES"]) <= set(found[name]) for name in names)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8"))
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_is_linked() -> None:
    """The README leads to all pages, directly or from one to the other."""
    seen: set[Path] = set()
    todo = [README]
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        links = re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text("utf-8"))
        todo += [page.parent / link for link in links]
    assert {page.resolve() for page in PAGES} <= seen
