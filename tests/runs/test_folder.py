"""Files of a run that somebody has changed: used as they are, or refused with one clear error."""

from __future__ import annotations

import csv
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.records import (
    mean_subsets,
    read_metrics,
    read_subsets,
    read_summary,
    summary_of,
)
from pyg_stgcn.tomlfile import read_toml, to_toml
from pyg_stgcn.training.runner import train


@pytest.fixture(scope="module")
def runs(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    options: dict[str, Any] = {"channels": 4, "clip_frames": 8, "epochs": 1, "batch_size": 12}
    options |= {"root": str(folder / "data"), "eval_views": 1, "accelerator": "cpu"}
    for name, more in (("sparse", {"sparsity": 0.8}), ("assembly", {"levels": [0.5, 0.8]})):
        train(TrainOptions.of(dataset=str(tiny_pickle), **options, **more), folder / name)
    return folder


@pytest.fixture
def run(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "sparse", tmp_path / "run"))


@pytest.fixture
def assembly(runs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs / "assembly", tmp_path / "assembly"))


def change(path: Path, place: str, value: Any) -> None:
    """Set an entry of a JSON or TOML file, such as ``optim.seed``."""
    is_toml = path.suffix == ".toml"
    content = read_toml(path, "") if is_toml else json.loads(path.read_text())
    *parents, last = place.split(".")
    part = content
    for name in parents:
        part = part[name]
    part[last] = value
    path.write_text(to_toml(content) if is_toml else json.dumps(content))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model", []),
        ("model.channels", "16"),
        ("model.channels", True),
        ("data.clip_frames", 8.5),
        ("optim.lr", float("nan")),
        ("data.rotation", float("inf")),
        ("data.augment", []),
        ("data.augment", {"mirror": "often"}),
        ("model.levels", 0.5),
        ("model.levels", ["a"]),
        ("model.experts", "stgcn"),
        ("optim.seed", 10**30),
        ("data.dataset", "a\0b"),
        ("data.root", "x" * 5000),
        ("sparsity.include", ["stages.*"]),
        ("metadata.data", 1),
        ("metadata.data.classes", "abc"),
        ("metadata.data.classes", ["a", 1]),
        ("metadata.data.skeleton", "ntu25"),
        ("metadata.data.in_channels", "3"),
        ("metadata.data.has_score", 1),
        ("metadata.ticket", []),
        ("metadata.ticket", {"exclude": 1}),
    ],
)
def test_types_of_a_configuration(run: Path, place: str, value: Any) -> None:
    change(run / "config.toml", place, value)
    with pytest.raises(InputError) as error:
        Run.open(run)
    name = place if place != "metadata.ticket" or value == [] else "metadata.ticket.exclude"
    assert str(error.value).startswith(f"{run / 'config.toml'}: {name} ")
    assert "train the run again" in str(error.value)


@pytest.mark.parametrize(
    "place", ["data.dataset", "optim.lr", "metadata.data.skeleton", "metadata.data"]
)
def test_entries_that_a_configuration_needs(run: Path, place: str) -> None:
    content = read_toml(run / "config.toml", "")
    *parents, last = place.split(".")
    part = content
    for name in parents:
        part = part[name]
    del part[last]
    (run / "config.toml").write_text(to_toml(content))
    with pytest.raises(InputError, match=rf"config\.toml: there is no entry {place}"):
        Run.open(run)


def test_whole_numbers_may_stand_for_others(run: Path) -> None:
    change(run / "config.toml", "data.rotation", 0)
    assert Run.open(run).config.data.rotation == 0


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model.channels", 1024, "describes no model|the weights are not those"),
        ("model.channels", 8, r"head\.linear\.weight is float32 of shape \(3, 16\), not float32"),
        ("model.partitions", 100, "the weights are not those"),
        ("metadata.data.in_channels", 10**12, "describes no model|the weights are not those"),
        ("model.backbone", "resnet", "there is no such model"),
        ("model.graph", "spiral", "describes no model .*spiral"),
        ("metadata.data.classes", ["a"] * 5, "the weights are not those"),
    ],
)
def test_a_model_that_the_weights_are_not_of(
    run: Path, place: str, value: Any, message: str
) -> None:
    change(run / "config.toml", place, value)
    with pytest.raises(
        InputError, match=rf"{run}/model\.safetensors with config\.toml: .*({message})"
    ):
        Run.open(run).load_model()


def test_no_number_in_a_configuration_takes_memory(run: Path, children: Any) -> None:
    """1,024 channels are refused by a process that could not hold a layer of them."""
    change(run / "config.toml", "model.channels", 1024)

    def load() -> object:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)
        return Run.open(run).load_model()

    children.start(load)
    error = children.result()
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{run}/model.safetensors with config.toml: ")


def test_experts_are_counted_before_they_are_built(assembly: Path) -> None:
    change(assembly / "config.toml", "model.levels", [0.5] * 1_000)
    change(assembly / "config.toml", "model.experts", ["stgcn"] * 1_000)
    with pytest.raises(InputError, match="of 2 experts, not 1000"):
        Run.open(assembly).load_model()
    change(assembly / "config.toml", "model.experts", None)
    with pytest.raises(InputError, match=r"config\.toml: there is no entry model\.experts"):
        Run.open(assembly)


def test_weights_of_other_names_types_and_shapes(run: Path) -> None:
    path = run / "model.safetensors"
    whole = load_file(path)
    norm = "data_norm.running_mean"
    for changed, message in (
        ({**whole, norm: whole[norm].double()}, f"{norm} is float64 of shape .*, not float32"),
        ({**whole, norm: whole[norm][:3].clone()}, rf"{norm} is float32 of shape \(3,\), not"),
        ({**whole, "x": torch.zeros(2)}, "x has no place"),
        ({**whole, "x" * 999: torch.zeros(2)}, "'xxx.*xxx' is no name of a weight"),
        ({name: whole[name] for name in whole if name != norm}, f"{norm} is missing"),
    ):
        save_file(changed, path)
        with pytest.raises(InputError, match=rf"model\.safetensors.*{message}"):
            Run.open(run).load_model()
    path.write_bytes(b"\x00" * 20)
    with pytest.raises(InputError, match=r"model\.safetensors: damaged"):
        Run.open(run).load_model()
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"model\.safetensors: is not a file"):
        Run.open(run).load_model()


def table(path: Path, edit: Callable[[list[list[str]]], object]) -> None:
    rows = list(csv.reader(path.read_text().splitlines()))
    edit(rows)
    path.write_text("".join(",".join(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: rows.clear(),
        lambda rows: rows.pop(0),
        lambda rows: rows[0].reverse(),
        lambda rows: rows[1].append("3"),
        lambda rows: rows[1].pop(),
        lambda rows: rows[1].__setitem__(0, "one"),
        lambda rows: rows[1].__setitem__(0, ""),
        lambda rows: rows[1].__setitem__(4, "nan"),
        lambda rows: rows[1].__setitem__(1, "1" * 200_000),
    ],
)
def test_tables_of_metrics(run: Path, edit: Callable[[list[list[str]]], object]) -> None:
    path = run / "metrics.csv"
    (row,) = read_metrics(path)
    assert row["epoch"] == 1 and row["train_loss"] > 0
    table(path, edit)
    with pytest.raises(InputError, match=rf"{path}: damaged \(.*\); put the file back"):
        read_metrics(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("top1", "0.5"),
        ("top1", None),
        ("top1", 1.5),
        ("mean_class", float("nan")),
        ("seed", True),
        ("seconds", []),
        ("maskable_kept", 0.5),
    ],
)
def test_summaries(run: Path, place: str, value: Any) -> None:
    assert 0 <= read_summary(run)["top1"] <= 1
    change(run / "summary.json", place, value)
    with pytest.raises(InputError, match=rf"summary\.json: {place} is .*; put the file back"):
        read_summary(run)


def test_a_summary_of_another_seed(run: Path) -> None:
    job = Job("sparse-seed0", run, {"seed": 0})
    assert summary_of(job)["seed"] == 0
    change(run / "summary.json", "seed", 1)
    with pytest.raises(InputError, match="seed is 1, but the run has 0"):
        summary_of(job)


def test_summaries_and_subsets_of_assemblies(assembly: Path, tmp_path: Path) -> None:
    rows = read_subsets(assembly)
    assert mean_subsets([assembly, assembly]) == rows
    read_summary(assembly)
    other = Path(shutil.copytree(assembly, tmp_path / "other"))
    content = json.loads((other / "assembly.json").read_text())
    content["rows"].pop()
    (other / "assembly.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"other/assembly\.json: has other subsets"):
        mean_subsets([assembly, other])
    content["rows"][0]["top1"] = "high"
    (other / "assembly.json").write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"rows\[0\]\.top1 is 'high', .*; evaluate the run again with"
    ):
        read_subsets(other)
    change(other / "summary.json", "assembly.experts", [])
    with pytest.raises(InputError, match=r"summary\.json: assembly\.experts has no first expert"):
        read_summary(other)
