from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch_geometric.data import Batch, Data

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.subsets import (
    SubsetLogits,
    assembly_summary,
    evaluate_assembly,
    subsets,
    write_subsets,
)
from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.studies.lotteries import planned_run

MakeRun = Callable[[Path, Any], Path]


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished assembly whose weights are those of the initialisation."""
    folder = tmp_path_factory.mktemp("subsets")
    options = {"dataset": str(tiny_pickle), "root": str(folder / "data"), "levels": [0.5, 0.9]}
    run = planned_run(
        options | {"channels": 4, "clip_frames": 8, "epochs": 1, "accelerator": "cpu"},
        folder / "run",
    )
    run.folder.mkdir()
    run.save_config()
    torch.manual_seed(0)
    run.save_weights(run.build_model(), sparse=False)
    return run


def test_subsets_are_all_but_the_empty_one() -> None:
    assert subsets(1) == [(0,)]
    assert subsets(3) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    assert len(set(subsets(5))) == 2**5 - 1


def test_logits_of_every_subset() -> None:
    experts = [create_model(name, 6, "coco17", base_channels=4) for name in ("stgcn", "ctrgcn")]
    assembly = Assembly(experts).eval()
    clips = Batch.from_data_list([Data(x=torch.randn(m * 17, 9, 3)) for m in (1, 2)])
    with torch.no_grad():
        logits = SubsetLogits(assembly).eval()(clips.x, clips.batch)
        first, second, both, own_first, own_second = logits.unbind(dim=1)
        torch.testing.assert_close(both, assembly(clips.x, clips.batch))
        # The shared classifier is linear, so the logits of mean features are mean logits.
        torch.testing.assert_close(both, (first + second) / 2)
        torch.testing.assert_close(own_first, experts[0](clips.x, clips.batch))
        torch.testing.assert_close(own_second, experts[1](clips.x, clips.batch))
        assert not torch.allclose(first, second)


def test_kept_weights_are_those_of_the_file(run: Run) -> None:
    model = run.load_model()
    state = load_file(run.weights)
    with torch.no_grad():
        for number in (0, 1):
            # A quarter of the weights of one convolution, and half of the own classifier.
            weight = model.experts[number].stages[1].tcn.conv.weight
            weight[: len(weight) // 4] = 0
            head = model.experts[number].head.linear.weight
            head.flatten()[: head.numel() // 2] = 0
    found = assembly_summary(run, model)
    heads = [
        sum(v.numel() for k, v in state.items() if k.startswith(f"experts.{number}.head."))
        for number in (0, 1)
    ]
    one = sum(p.numel() for p in model.experts[0].parameters())
    total = sum(p.numel() for p in model.parameters())
    pruned = state["experts.0.stages.1.tcn.conv.weight"].numel() // 4
    for expert in found["experts"]:
        assert expert["params_total"] == one
        assert expert["params_needed"] == one - pruned - heads[0]
    assert found["params_kept"] == total - 2 * pruned - sum(heads)
    assert found["params_kept_of_one"] == found["params_kept"] / one
    needed = sum(expert["maskable_needed"] for expert in found["experts"])
    assert found["kept_of_one"] == needed / found["experts"][0]["params_maskable"]


def test_every_subset_is_evaluated(run: Run) -> None:
    result = evaluate_assembly(run.folder, num_views=1)
    rows = result["rows"]
    assert [row["experts"] for row in rows] == [[1], [2], [1, 2], [1], [2]]
    assert [row["head"] for row in rows] == ["shared"] * 3 + ["own"] * 2
    assert [row["levels"] for row in rows][:3] == [[0.5], [0.9], [0.5, 0.9]]
    first, second, both, *_ = (row["kept"] for row in rows)
    assert both == pytest.approx(first + second)
    assert both == pytest.approx(result["kept_of_one"])
    assert rows[2]["params_kept"] == pytest.approx(result["params_kept_of_one"])
    assert result["views"] == 1 and run.subsets("json").exists()


def test_lists_are_joined_in_the_table(tmp_path: Path) -> None:
    row = {"experts": [1, 3], "levels": [0.5, 0.95], "head": "shared", "top1": 0.25}
    write_subsets(tmp_path / "subsets.csv", [row])
    with (tmp_path / "subsets.csv").open(newline="") as stream:
        (found,) = csv.DictReader(stream)
    assert found == {"experts": "1+3", "levels": "0.5+0.95", "head": "shared", "top1": "0.25"}


def test_a_single_model_has_no_subsets(make_run: MakeRun, run: Run, tmp_path: Path) -> None:
    single = make_run(tmp_path / "single", TrainOptions.of(dataset="synthetic", channels=4))
    with pytest.raises(InputError, match="is a single stgcn; name the run of an assembly"):
        evaluate_assembly(single)
