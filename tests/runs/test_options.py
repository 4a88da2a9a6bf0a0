from __future__ import annotations

from pyg_stgcn.runs.options import TrainOptions


def test_maskable_parameters_by_name() -> None:
    assert TrainOptions.of(dataset="a").maskable == {
        "include": None,
        "exclude": ("head.*",),
        "edges": False,
    }
    config = TrainOptions.of(dataset="a", include="a.*,b.*", exclude="", edge_sparsity=0.5)
    assert config.maskable == {"include": ("a.*", "b.*"), "exclude": (), "edges": True}
