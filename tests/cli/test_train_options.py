"""The options of ``train`` come from the record, from files and from the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from pyg_stgcn.cli import main
from pyg_stgcn.runs.config_file import load_config, options_to_toml, read_options
from pyg_stgcn.runs.options import OPTIONS, TrainOptions


def call(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture
def small(tiny_pickle: Path, tmp_path: Path) -> list[object]:
    words: list[object] = ["train", "--dataset", tiny_pickle, "--root", tmp_path / "data"]
    words += ["--channels", 4, "--clip-frames", 8, "--epochs", 2, "--batch-size", 12]
    words += ["--eval-views", 1, "--accelerator", "cpu", "--no-scale", "--sparsity", 0.5]
    return [*words, "--method", "rigl", "--augment", "noise=0.02", "--seed", 3]


def test_help_has_a_line_for_every_option_in_groups() -> None:
    text = call("train", "--help").output
    titles = re.findall(r"^(\w+):$", text, flags=re.MULTILINE)
    assert titles == ["Options", "Data", "Model", "Sparsity", "Optimisation", "Hardware"]
    for option in OPTIONS.values():
        assert re.search(rf"--(no-)?{option.flag[2:]}\b", text), option.name
        # Lines are broken at blanks and hyphens.
        assert "".join(option.help.split()) in "".join(text.split()), option.name


def test_a_run_tells_what_it_does_and_its_configuration_repeats_it(
    small: list[object], tmp_path: Path
) -> None:
    first = call(*small, "--out", tmp_path / "first")
    assert first.exit_code == 0, first.output
    assert "recipe: small data (36 clips): width 4, 8 frames, 2 epochs\n" in first.stderr
    overview = r"36 clips for .*; 3 classes; [\d,]+ parameters, [\d,]+ of them .*; device: cpu\n"
    assert re.search(overview, first.stderr)
    assert re.search(r"\nepoch 1/2  train loss .*  \d+ s left\nepoch 2/2  ", first.stderr)
    config = tmp_path / "first/config.toml"
    again = call("train", "--config", config, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "again"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert load_config(tmp_path / "again/config.toml") == load_config(config)
    # What is given on the command line overrides the file, a switch in both directions.
    words = ["train", "--config", config, "--seed", 4, "--scale", "--print-config"]
    written = tmp_path / "other.toml"
    written.write_text(call(*words).stdout)
    other, _ = load_config(written)
    assert other == load_config(config)[0].replace(seed=4, scale=True)


def test_print_config_is_complete_where_the_data_are_there(
    small: list[object], tmp_path: Path
) -> None:
    result = call(*small, "--print-config")
    assert result.exit_code == 0, result.output
    (tmp_path / "a.toml").write_text(result.stdout)
    options, _ = load_config(tmp_path / "a.toml")
    assert options.sparsity.schedule == "constant" and options.optim.lr is not None
    missing = call("train", "--dataset", "ntu60", "--root", tmp_path, "--print-config")
    (tmp_path / "b.toml").write_text(missing.stdout)
    values, _ = read_options(tmp_path / "b.toml", "")
    assert values["dataset"] == "ntu60" and "lr" not in values
    assert "# lr: 0.1; small data: 0.025" in missing.stdout


def test_every_value_survives_a_file(tmp_path: Path) -> None:
    options = TrainOptions.of(
        dataset="a\udc80 'b\" \x7f\\.pkl", scale=False, strict=True, augment={"frame-loss": 0.25},
        levels=[0.5, 0.25], experts=["stgcn", "aagcn"], lr=1e-05, rotation=0, learned_weights=True,
    )  # fmt: skip
    path = tmp_path / "a.toml"
    path.write_bytes(options_to_toml(options).encode("utf-8", "surrogatepass"))
    values, metadata = read_options(path, "")
    assert TrainOptions.of(**values) == options and metadata == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\ncolour = 1", "unknown options colour in [data]"),
        ("[optim]\nlr = 'x'", "optim.lr is 'x', not a finite number"),
        ("[optics]", "unknown table optics; tables are data, model"),
        ("model = 1", "model is 1, not an object"),
        ("[data]\ndataset = 'a'\n[optim]\nlr = -1.0", "--lr -1.0: out of range"),
        ("[model]", "--dataset is missing"),
    ],
)
def test_wrong_entries_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    result = call("train", "--config", path, "--out", tmp_path / "run")
    assert result.exit_code in (1, 2) and not (tmp_path / "run").exists()
    assert message in " ".join(result.stderr.split())


def test_a_resumed_run_has_its_own_options(tmp_path: Path) -> None:
    result = call("train", "--resume", "--out", tmp_path, "--config", tmp_path / "a.toml")
    assert result.exit_code == 2 and "leave --config out" in result.stderr


def test_studies_take_a_file(small: list[object], tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(call(*small, "--print-config").stdout)
    words = ["sweep", "--config", tmp_path / "a.toml", "--sparsities", 0, "--seeds", 5]
    result = call(*words, "--channels", 6, "--print-commands", "--out", tmp_path / "sweep")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    assert "--channels 6 " in line and "--clip-frames 8 " in line and "--no-scale " in line
    assert "--seed 5 " in line and line.count("--sparsity") == 1
