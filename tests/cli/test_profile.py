from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from pyg_stgcn.cli import main


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_model_by_name() -> None:
    words = ("profile", "stgcn", "--skeleton", "coco17", "--channels", 8, "--frames", 12)
    content = json.loads(call(*words, "--persons", 1, "--json").stdout)
    assert content["macs"] == sum(layer["macs"] for layer in content["layers"])
    assert content["params_total"] > content["params_without_head"] > 0
    assert content["milliseconds"] > 0 and content["peak_bytes"] > 0
    text = call(*words).stdout
    assert "stages.9.tcn.conv" in text and "GMACs, effective" in text
    random = json.loads(call(*words, "--persons", 1, "--graph", "random", "--json").stdout)
    assert random["macs"] == content["macs"]
    assert random["effective_macs"] > content["effective_macs"]


def test_a_run(tiny_pickle: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 2, "--batch-size", 12]
    size += ["--eval-views", 1, "--sparsity", 0.9, "--accelerator", "cpu"]
    result = call("train", "--dataset", tiny_pickle, "--root", tmp_path, *size, "--out", run)
    assert result.exit_code == 0, result.output
    content = json.loads(call("profile", run, "--frames", 12, "--persons", 1, "--json").stdout)
    tcn = next(layer for layer in content["layers"] if layer["name"] == "stages.9.tcn.conv")
    assert tcn["effective_macs"] < 0.5 * tcn["macs"]
    summary = json.loads((run / "summary.json").read_text())
    counts = ("params_maskable", "maskable_kept", "sparsity", "params_kept", "params_kept_fraction")
    assert {name: content[name] for name in counts} == {name: summary[name] for name in counts}
    figure = tmp_path / "cost.svg"
    text = call("profile", run, "--frames", 12, "--persons", 1, "--figure", figure).stdout
    assert f"figure: {figure}" in text
    assert "stages.9.tcn.conv" in figure.read_text(encoding="utf-8")
    for kept in (1 - summary["sparsity"], summary["params_kept_fraction"]):
        assert f"{100 * kept:.2f} %" in text


def test_wrong_usage() -> None:
    result = call("profile", "resnet")
    assert result.exit_code == 2 and "'resnet' is neither" in result.output
    assert call("profile", "stgcn", "--persons", 0).exit_code == 2
    assert call("profile", "stgcn", "--device", "abacus").exit_code == 2
    unknown = call("profile", "stgcn", "--skeleton", "octopus")
    assert unknown.exit_code == 2 and "octopus" in unknown.output
