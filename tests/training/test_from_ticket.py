from __future__ import annotations

import csv
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch_geometric.data import Batch

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.inspection import inspect_run
from pyg_stgcn.evaluation.run_evaluation import evaluate_run
from pyg_stgcn.runs.config_file import load_config
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.sparsity import (
    Ticket,
    full_masks,
    load_ticket,
    prune_further,
    save_sparse,
    save_ticket,
)
from pyg_stgcn.sparsity.threshold import num_pruned
from pyg_stgcn.training.from_ticket import learned_masks, start_from, ticket_metadata
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train

EPOCH = 2


@pytest.fixture(scope="module")
def dense(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A dense run that has kept its weights of epoch 2."""
    folder = tmp_path_factory.mktemp("dense")
    config = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(folder / "data"),
        channels=4,
        clip_frames=12,
        epochs=4,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
        save_epoch=EPOCH,
    )
    train(config, folder / "run")
    return Run.open(folder / "run")


@pytest.fixture(scope="module")
def ticket_file(dense: Run) -> Path:
    """The dense run's ticket at 80 %."""
    masks = full_masks(dense.build_model(), exclude="head.*")
    masks = prune_further(load_file(dense.weights), masks, 0.8)
    path = dense.folder / "ticket.safetensors"
    early = load_file(dense.early_weights(EPOCH))
    save_ticket(path, Ticket(masks, early, ticket_metadata(dense, EPOCH)))
    return path


def config_of(dense: Run, ticket_file: Path) -> TrainOptions:
    return dense.config.replace(save_epoch=None, ticket=str(ticket_file))


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_weights_of_an_epoch_are_those_of_a_training_up_to_it(dense: Run, tmp_path: Path) -> None:
    # The learning rate falls over four epochs, so stop the same training after two.
    early = load_file(dense.early_weights(EPOCH))
    assert early.keys() == load_file(dense.weights).keys()
    first = dense.config.replace(save_epoch=0)
    train(first.replace(epochs=1), tmp_path / "run")
    again = load_file(tmp_path / "run" / "epoch0.safetensors")
    torch.manual_seed(0)
    drawn = dense.build_model().state_dict()
    assert all(again[name].equal(drawn[name]) for name in drawn)
    assert any(not again[name].equal(early[name]) for name in early)


def test_a_ticket_goes_on_from_its_epoch(dense: Run, ticket_file: Path, tmp_path: Path) -> None:
    summary = train(config_of(dense, ticket_file), tmp_path / "run")
    rows, dense_rows = table(tmp_path / "run"), table(dense.folder)
    for name in ("epoch", "step", "lr"):
        assert [row[name] for row in rows] == [row[name] for row in dense_rows[EPOCH:]]
    masks = load_ticket(ticket_file).masks
    trained = load_file(tmp_path / "run" / "model.safetensors")
    assert all(not trained[name][~mask].any() for name, mask in masks.items())
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert summary["maskable_kept"] == kept
    assert [float(row["sparsity"]) for row in rows] == pytest.approx([summary["sparsity"]] * 2)
    assert (tmp_path / "run" / "model.sparse.safetensors").exists()
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()
    metadata = load_config(tmp_path / "run/config.toml")[1]["ticket"]
    assert (metadata["first_epoch"], metadata["drawn_again"]) == (EPOCH, [])
    assert evaluate_run(tmp_path / "run", num_views=1)["top1"] == summary["top1"]


def test_a_ticket_that_keeps_everything_is_the_dense_run(dense: Run, tmp_path: Path) -> None:
    # Without momentum there is nothing that a restart of the optimiser could forget.
    masks = full_masks(dense.build_model(), exclude="head.*")
    early = load_file(dense.early_weights(EPOCH))
    path = tmp_path / "all.safetensors"
    save_ticket(path, Ticket(masks, early, ticket_metadata(dense, EPOCH)))
    config = config_of(dense, path).replace(epochs=EPOCH + 1)
    train(config, tmp_path / "run")
    first = float(table(tmp_path / "run")[0]["train_loss"])
    # The first step sees the batch and the weights that the dense run saw; later ones have less
    # momentum.
    assert first == pytest.approx(float(table(dense.folder)[EPOCH]["train_loss"]), rel=0.05)


def test_rewinding_is_exact(dense: Run, ticket_file: Path) -> None:
    early = load_file(dense.early_weights(EPOCH))
    run = replace(dense, config=config_of(dense, ticket_file))
    ticket = load_ticket(ticket_file)
    model = run.build_model()
    controller, missing = start_from(ticket, run, model)
    assert missing == []
    controller.finalize()
    for name, value in model.state_dict().items():
        mask = ticket.masks.get(name)
        assert value.equal(early[name] if mask is None else torch.where(mask, early[name], 0))


def test_redrawn_weights_are_others(dense: Run, ticket_file: Path, tmp_path: Path) -> None:
    config = config_of(dense, ticket_file).replace(redraw=True, lr=1e-12, epochs=1)
    train(config, tmp_path / "run")
    trained = load_file(tmp_path / "run" / "model.safetensors")
    torch.manual_seed(0)
    first_draw = dense.build_model().state_dict()
    for name, mask in load_ticket(ticket_file).masks.items():
        assert not trained[name][~mask].any()
        assert (trained[name] != 0).equal(mask)
        assert not torch.isclose(trained[name][mask], first_draw[name][mask]).any()
    assert [row["epoch"] for row in table(tmp_path / "run")] == ["1"]


def test_resumed(
    dense: Run, ticket_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(dense, ticket_file)
    train(config, tmp_path / "whole")
    start = ActionRecognizer.on_train_batch_start

    def cut(self: ActionRecognizer, batch: Batch, batch_idx: int) -> None:
        if self.current_epoch == EPOCH + 1 and batch_idx == 1:
            raise RuntimeError("power cut")
        start(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(ActionRecognizer, "on_train_batch_start", cut)
        with pytest.raises(RuntimeError, match="power cut"):
            train(config, tmp_path / "cut")
    assert [row["epoch"] for row in table(tmp_path / "cut")] == ["3"]
    before = (tmp_path / "cut/config.toml").read_bytes()
    ticket = load_ticket(ticket_file)
    turned = {name: mask.flip(0) for name, mask in ticket.masks.items()}
    save_ticket(tmp_path / "other", Ticket(turned, ticket.weights, ticket.metadata))
    with pytest.raises(
        InputError, match=r"is not the ticket that the run in .*cut was started with"
    ):
        train(config.replace(ticket=str(tmp_path / "other")), tmp_path / "cut", resume=True)
    assert (tmp_path / "cut/config.toml").read_bytes() == before
    # Another place is not another ticket.
    save_ticket(tmp_path / "moved", ticket)
    train(config.replace(ticket=str(tmp_path / "moved")), tmp_path / "cut", resume=True)
    expected, found = (
        load_file(tmp_path / f"{name}/model.safetensors") for name in ("whole", "cut")
    )
    assert all(expected[name].equal(found[name]) for name in expected)
    for whole, resumed in zip(table(tmp_path / "whole"), table(tmp_path / "cut"), strict=True):
        assert whole | {"seconds": ""} == resumed | {"seconds": ""}


def test_a_dense_run_does_not_go_on_as_a_ticket(
    dense: Run, ticket_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(dense.folder, tmp_path / "run")
    with pytest.raises(InputError, match="is not the ticket that the run"):
        train(config_of(dense, ticket_file), tmp_path / "run", resume=True)


def test_masks_are_counted_and_not_zeros(dense: Run, tmp_path: Path) -> None:
    """The ticket has masks in one stage, whose weights are zero and get no gradient."""
    include = "stages.0.*"
    masks = prune_further(load_file(dense.weights), full_masks(dense.build_model(), include), 0.75)
    early = load_file(dense.early_weights(EPOCH))
    early |= {name: torch.zeros_like(w) for name, w in early.items() if name.startswith("stages.")}
    metadata = ticket_metadata(dense, EPOCH) | {"include": include}
    save_ticket(tmp_path / "ticket", Ticket(masks, early, metadata))
    summary = train(config_of(dense, tmp_path / "ticket"), tmp_path / "run")
    trained = load_file(tmp_path / "run/model.safetensors")
    assert not any(trained[name].any() for name in masks)
    numel, kept = (sum(map(count, masks.values())) for count in (torch.numel, torch.sum))
    assert (summary["params_maskable"], summary["maskable_kept"]) == (numel, kept)
    assert kept == numel - num_pruned(0.75, numel)
    # A finished run has plain weights, and its masks beside them.
    looked_at = inspect_run(tmp_path / "run")
    assert looked_at.totals == {name: summary[name] for name in looked_at.totals}
    found = {layer.name: layer.kept for layer in looked_at.layers}
    assert found == {name: int(mask.sum()) for name, mask in masks.items()}
    (network,) = looked_at.networks
    assert all(network.masks[name].equal(mask) for name, mask in masks.items())
    # Another run of the network may have pruned its graph.
    assert network.masks.keys() - masks.keys() == {"stages.0.gcn.adjacency.edge_weight"}
    learned = learned_masks(Run.open(tmp_path / "run"), dense)
    assert learned.keys() == masks.keys()
    assert all(learned[name].equal(mask) for name, mask in masks.items())


def test_masks_of_another_model_are_refused(dense: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(dense.folder, folder)
    assert inspect_run(folder).totals["sparsity"] == 0
    save_sparse(folder / "masks.safetensors", {"stem.weight": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(InputError, match=r"masks\.safetensors: not the masks of this run \(mask"):
        inspect_run(folder)
    (folder / "masks.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"masks\.safetensors"):
        inspect_run(folder)


@pytest.fixture
def other_pickle(tiny_pickle: Path, tmp_path: Path) -> Path:
    """The tiny dataset without its last joint and its last class."""
    content = pickle.loads(tiny_pickle.read_bytes())
    content["annotations"] = [item for item in content["annotations"] if item["label"] < 2]
    for item in content["annotations"]:
        item["keypoint"] = item["keypoint"][:, :, :4]
    names = {item["frame_dir"] for item in content["annotations"]}
    content["split"] = {k: [n for n in v if n in names] for k, v in content["split"].items()}
    meta = content["meta"]
    meta |= {"classes": ["head", "tail"], "joints": meta["joints"][:4], "edges": meta["edges"][:3]}
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_the_same_classes_in_another_order(
    dense: Run, ticket_file: Path, tiny_pickle: Path, tmp_path: Path
) -> None:
    order = [1, 2, 0]
    content = pickle.loads(tiny_pickle.read_bytes())
    content["meta"]["classes"] = [content["meta"]["classes"][i] for i in order]
    for item in content["annotations"]:
        item["label"] = order.index(item["label"])
    path = tmp_path / "reordered.pkl"
    path.write_bytes(pickle.dumps(content))
    config = config_of(dense, ticket_file).replace(dataset=str(path), root=None, lr=1e-12)
    train(config, tmp_path / "run")
    ticket = load_ticket(ticket_file)
    trained = load_file(tmp_path / "run" / "model.safetensors")
    for name in ("head.linear.weight", "head.linear.bias"):
        assert torch.allclose(trained[name], ticket.weights[name][order], atol=1e-6)
    metadata = load_config(tmp_path / "run/config.toml")[1]["ticket"]
    assert (metadata["first_epoch"], metadata["drawn_again"]) == (EPOCH, [])
    assert metadata["checksum"] == ticket.checksum


def test_other_classes_and_another_skeleton(
    dense: Run,
    ticket_file: Path,
    other_pickle: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = config_of(dense, ticket_file).replace(dataset=str(other_pickle), epochs=1, lr=1e-12)
    with caplog.at_level("INFO", "pyg_stgcn.progress"):
        summary = train(config, tmp_path / "run")
    said = caplog.text
    assert "drawn at random: data_norm.bias" in said and "head.linear.weight" in said
    ticket = load_ticket(ticket_file)
    trained = load_file(tmp_path / "run" / "model.safetensors")
    for name, mask in ticket.masks.items():
        assert not trained[name][~mask].any()
        assert torch.allclose(trained[name], torch.where(mask, ticket.weights[name], 0), atol=1e-6)
    assert summary["maskable_kept"] == sum(int(mask.sum()) for mask in ticket.masks.values())
    metadata = load_config(tmp_path / "run/config.toml")[1]["ticket"]
    assert metadata["first_epoch"] == 0
    kinds = {name.split(".")[-2] for name in metadata["drawn_again"]}
    assert kinds == {"data_norm", "adjacency", "linear"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 8}, r"has channels 4, not 8; train with the backbone"),
        ({"backbone": "stgcnpp"}, "has backbone stgcn, not stgcnpp"),
        ({"graph": "stgcn_spatial"}, "has graph random"),
        ({"stream": "joint+bone"}, "has in_channels 3, not 6"),
        ({"epochs": EPOCH}, "its weights are of epoch 2, and the run ends after 2"),
        ({"sparsity": 0.5}, "has its own masks and weights; leave sparsity out"),
        ({"init": "x"}, "leave init out"),
        ({"include": "stages.*"}, "leave include out"),
        ({"exclude": ""}, "leave exclude out"),
        ({"save_epoch": 1}, "leave sparsity and ticket out"),
        ({"ticket": None, "redraw": True}, "needs a ticket"),
        ({"ticket": None, "save_epoch": 4}, "the run has 4 epochs"),
        ({"ticket": "nowhere"}, "nowhere: cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused(
    dense: Run, ticket_file: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(config_of(dense, ticket_file).replace(**options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": "two"}, "epoch is 'two', not a whole number; make it with"),
        ({"epoch": -1}, "its weights are of epoch -1; make it with"),
        ({"classes": "abc"}, "classes is 'abc', not a list"),
        ({"skeleton": {"name": "x"}}, "skeleton: joints: this field is missing"),
        ({"exclude": None}, "exclude is None, not a text"),
        ({"structure": 8}, "structure is 8, not a text"),
    ],
)
def test_metadata_of_other_types_are_refused(
    dense: Run, ticket_file: Path, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    ticket = load_ticket(ticket_file)
    path = tmp_path / "changed"
    save_ticket(path, Ticket(ticket.masks, ticket.weights, {**ticket.metadata, **changed}))
    with pytest.raises(InputError, match=f"ticket {path}: {message}"):
        train(config_of(dense, path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_ticket_without_metadata_is_refused(
    dense: Run, ticket_file: Path, tmp_path: Path
) -> None:
    ticket = load_ticket(ticket_file)
    save_ticket(tmp_path / "bare", Ticket(ticket.masks, ticket.weights))
    with pytest.raises(InputError, match="its metadata lack the skeleton; make it with"):
        train(config_of(dense, tmp_path / "bare"), tmp_path / "run")
