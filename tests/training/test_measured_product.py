from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train


@pytest.fixture
def config(tiny_pickle: Path, tmp_path: Path) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(tmp_path / "data"),
        channels=4,
        stages=2,
        clip_frames=8,
        epochs=1,
        batch_size=12,
        eval_views=1,
        sparsity=0.5,
        edge_sparsity=0.5,
        accelerator="cpu",
    )


def objective(folder: Path) -> float:
    with (folder / "metrics.csv").open() as stream:
        return float(next(csv.DictReader(stream))["objective"])


@pytest.mark.torch_sparse
def test_trains_the_same_with_every_product(
    config: TrainOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pyg_stgcn")
    found = {}
    for product in ("dense", "sparse", "measured"):
        train(config.replace(graph_product=product), tmp_path / product)
        found[product] = objective(tmp_path / product)
        assert ("graph product: " in caplog.text) == (product == "measured")
    assert found == pytest.approx(dict.fromkeys(found, found["dense"]), rel=1e-5)


@pytest.mark.torch_sparse
@pytest.mark.parametrize("product", ["sparse", "measured"])
def test_what_has_no_sparse_graph_product(
    config: TrainOptions, tmp_path: Path, product: str
) -> None:
    with pytest.raises(InputError, match="graph_product 'sparse': CTRGCN has no STGraphConv"):
        train(config.replace(backbone="ctrgcn", graph_product=product), tmp_path / "run")
    with pytest.raises(InputError, match=f"{product}: skip_zeros has products of its own"):
        config.replace(skip_zeros=True, graph_product=product)
