from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import (
    Backbone,
    create_model,
    list_models,
    load_pyskl,
    pyskl_state_dict,
)
from pyg_stgcn.models.pyskl.pyskl_architecture import read_architecture
from pyg_stgcn.models.pyskl.pyskl_weights import read_pyskl
from pyg_stgcn.sparsity import sparsify


def make(name: str = "stgcn", **options: object) -> Backbone:
    """A model whose parameters and statistics all differ from their start."""
    options = {"num_classes": 5, "skeleton": "coco17", "base_channels": 6} | options
    model = create_model(name, **options)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return model.eval()


def output(model: nn.Module) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return model(torch.randn(34, 9, 3))


@pytest.mark.parametrize("kind", ["aagcn", "ctrgcn"])
def test_a_person_slot_that_was_never_trained_is_written_as_the_one_that_stands_for_it(
    kind: str,
) -> None:
    model, other = make(kind).train(), make(kind)
    torch.manual_seed(1)
    model(torch.randn(17, 9, 3) + 4)
    model.eval()
    load_pyskl(other, pyskl_state_dict(model))
    assert other.data_norm.trained_slots().tolist() == [0, 1]
    torch.testing.assert_close(output(other), output(model))


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"graph": "random", "num_partitions": 2},
        {"graph": "uniform"},
        {"in_channels": 6},
        {"base_channels": 2},
        {"num_stages": 4, "inflate_stages": (2, 4), "down_stages": (3,), "in_channels": 2},
    ],
)
def test_round_trip_is_exact(name: str, options: dict[str, object]) -> None:
    model, other = make(name, **options), make(name, **options)
    if options.get("in_channels") == 6:
        assert len(model.stages) == 9
    written = pyskl_state_dict(model)
    report = load_pyskl(other, written)
    assert report.fits
    assert not report.off_graph
    state = model.state_dict()
    for key, value in other.state_dict().items():
        assert torch.equal(value, state[key]), key
    again = pyskl_state_dict(other)
    assert again.keys() == written.keys()
    assert all(torch.equal(again[key], written[key]) for key in written)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"graph": "random", "num_partitions": 2},
        {"in_channels": 6},
        {"num_stages": 4, "inflate_stages": (2, 4), "down_stages": (2, 3, 4), "in_channels": 2},
        {"num_stages": 2, "inflate_stages": (2,), "down_stages": (2,)},
    ],
)
def test_weights_tell_their_model(name: str, options: dict[str, object], tmp_path: Path) -> None:
    model = make(name, **options)
    torch.save({"state_dict": pyskl_state_dict(model)}, tmp_path / "j.pth")
    other = create_model(name, pretrained=tmp_path / "j.pth").eval()
    assert other.skeleton == model.skeleton
    torch.manual_seed(0)
    x = torch.randn(34, 9, model.in_channels)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("graph", ["uniform", "distance-2", "stgcn_spatial"])
def test_weights_tell_their_fixed_graph(graph: str) -> None:
    model = create_model("stgcn", 5, "coco17", base_channels=6, graph=graph)
    state = read_pyskl(pyskl_state_dict(model))
    assert read_architecture(state, "weights").options["graph"] == graph
    # A start from all pairs of joints that were learnt.
    learnt = {key: value for key, value in state.items() if not key.endswith(".PA")}
    options = read_architecture(learnt, "weights").options
    assert (options["graph"], options["adaptive"]) == ("random", "init")


def test_weights_of_something_else_tell_nothing() -> None:
    state = read_pyskl(pyskl_state_dict(make()))
    for wrong in (
        {"fc.weight": torch.zeros(3, 2)},
        {key: value for key, value in state.items() if not key.startswith("gcn.3.")},
        {key: value for key, value in state.items() if key != "gcn.3.gcn.bn.weight"},
        state | {"gcn.0.gcn.A": torch.zeros(())},
        state | {"gcn.3.gcn.bn.weight": torch.zeros(7)},
        state | {"gcn.0.gcn.conv.weight": torch.zeros(3)},
        state | {"data_bn.weight": torch.zeros(())},
    ):
        with pytest.raises(InputError, match=r"weights: holds weights of none of the backbones"):
            read_architecture(wrong, "weights")


def test_names_are_those_of_pyskl(name: str) -> None:
    written = set(pyskl_state_dict(make(name)))
    block = "backbone.net.0.gcn1" if name == "ctrgcn" else "backbone.gcn.0.gcn"
    assert {"backbone.data_bn.weight", f"{block}.A", f"{block}.bn.running_var"} <= written
    assert {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"} <= written
    assert ("backbone.A" in written) == (name in ("aagcn", "ctrgcn"))
    assert not any("cls_head" in key for key in pyskl_state_dict(make(name), head=False))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("nested", [True, False])
def test_reads_checkpoint_files(tmp_path: Path, nested: bool, prefix: str) -> None:
    model, other = make(), make()
    state = {prefix + key: value for key, value in pyskl_state_dict(model).items()}
    content = {"meta": {"epoch": 16, "config": "text"}, "state_dict": state}
    torch.save(content if nested else state, tmp_path / "j.pth")
    load_pyskl(other, tmp_path / "j.pth")
    assert torch.equal(output(other), output(model))


def test_other_classes_need_another_head() -> None:
    model, other = make(), make(num_classes=9)
    written = pyskl_state_dict(model)
    before = other.head.linear.weight.clone()
    with pytest.raises(
        InputError,
        match=r"cls_head.fc_cls.weight \(5, 24\) instead of \(9, 24\).*needs head=False",
    ):
        load_pyskl(other, written)
    load_pyskl(other, written, head=False)
    assert torch.equal(other.head.linear.weight, before)
    state = other.state_dict()
    for key, value in model.state_dict().items():
        assert key.startswith("head.") or torch.equal(state[key], value), key


def test_everything_that_does_not_fit_is_named() -> None:
    model, other = make(), make()
    before = {key: value.clone() for key, value in other.state_dict().items()}
    written = pyskl_state_dict(model)
    del written["backbone.gcn.3.tcn.bn.weight"]
    written["backbone.gcn.3.tcn.bn.scale"] = torch.zeros(6)
    written["backbone.gcn.4.tcn.conv.bias"] = torch.zeros(7)
    with pytest.raises(InputError) as error:
        load_pyskl(other, written)
    for part in (
        "missing 1: gcn.3.tcn.bn.weight; unexpected 1: gcn.3.tcn.bn.scale",
        "gcn.4.tcn.conv.bias (7,) instead of (12,)",
    ):
        assert part in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())

    report = load_pyskl(other, written, strict=False)
    assert not report.fits
    assert report.missing == ("gcn.3.tcn.bn.weight",)
    assert report.unexpected == ("gcn.3.tcn.bn.scale",)
    state = other.state_dict()
    kept = {"stages.3.tcn.norm.weight", "stages.4.tcn.conv.bias"}
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], before[key] if key in kept else value), key


def test_weights_of_another_partition_are_refused() -> None:
    written = pyskl_state_dict(make(graph="distance-2"))
    with pytest.raises(InputError, match=r"gcn.0.gcn.A has edges that the model lacks"):
        load_pyskl(make(graph="spatial"), written)


def test_importances_off_the_graph_are_reported_and_change_nothing() -> None:
    model, other = make(), make()
    written = pyskl_state_dict(model)
    factor = written["backbone.gcn.0.gcn.PA"]
    factor[written["backbone.gcn.0.gcn.A"] == 0] = 7.0
    report = load_pyskl(other, written)
    assert report.fits
    assert report.off_graph == ("gcn.0.gcn.PA",)
    assert "off_graph 1: gcn.0.gcn.PA" in str(report)
    assert torch.equal(output(other), output(model))


def test_published_zeros_are_edges_all_the_same() -> None:
    model = create_model("aagcn", 5, "coco17", base_channels=4)
    weight = model.stages[0].gcn.adjacency.edge_weight
    assert (weight != 0).all()
    written = pyskl_state_dict(model)["backbone.gcn.0.gcn.A"]
    assert torch.equal(written, model.skeleton.graph("spatial").dense())


class Payload:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("should-not-exist"),)


def test_files_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": pyskl_state_dict(make()), "meta": Payload()}, "bad.pth")
    Path("plain.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    Path("noise.pth").write_bytes(b"nothing of the kind")
    Path("empty.pth").write_bytes(b"")
    for file in ("bad.pth", "plain.pth", "noise.pth", "empty.pth"):
        with pytest.raises(InputError, match=f"{file}: holds more than tensors, or is damaged"):
            load_pyskl(make(), file)
    assert not Path("should-not-exist").exists()


def test_weights_in_half_precision_keep_all_edges() -> None:
    model = create_model("aagcn", 5, "coco17", base_channels=4)
    written = {
        key: value.half() if value.is_floating_point() else value
        for key, value in pyskl_state_dict(model).items()
    }
    load_pyskl(model, written)
    assert (model.stages[0].gcn.adjacency.edge_weight != 0).all()


def test_other_mistakes_get_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pth: cannot be read"):
        load_pyskl(make(), tmp_path / "absent.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds a list, not a state dict"):
        load_pyskl(make(), tmp_path / "list.pth")
    with pytest.raises(InputError, match="epoch: a int, not a tensor"):
        load_pyskl(make(), {"epoch": 3})
    with pytest.raises(InputError, match="Linear: is no backbone"):
        pyskl_state_dict(nn.Linear(2, 2))
    model = make()
    sparsify(model, 0.5)
    with pytest.raises(InputError, match="STGCN: has masks; finalize"):
        load_pyskl(model, {})
