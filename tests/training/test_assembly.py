"""Runs of assemblies: the loss, the masks, the accounting, and the evaluation of every subset."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.run_evaluation import evaluate_model, open_validation
from pyg_stgcn.evaluation.subsets import SubsetLogits, assembly_summary, evaluate_assembly
from pyg_stgcn.models import Assembly, create_model
from pyg_stgcn.runs.batches import clip_transform, make_loader
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import UNMASKED, TrainOptions
from pyg_stgcn.sparsity import sparsify
from pyg_stgcn.training.callbacks import EpochTable
from pyg_stgcn.training.recognizer import ActionRecognizer
from pyg_stgcn.training.runner import train

LEVELS = [0.5, 0.9]


def make_config(data: Path, root: Path) -> TrainOptions:
    return TrainOptions.of(
        dataset=str(data),
        root=str(root),
        experts=["stgcn", "stgcnpp"],
        partitions=2,
        levels=LEVELS,
        learned_weights=True,
        channels=4,
        clip_frames=12,
        epochs=3,
        batch_size=12,
        lr=0.02,
        eval_views=2,
        accelerator="cpu",
    )


@pytest.fixture(scope="module")
def config(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOptions:
    return make_config(tiny_pickle, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folder(config: TrainOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(config, folder)
    return folder


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def test_a_step_follows_the_sum_of_all_losses() -> None:
    experts = [create_model("stgcn", 3, "coco17", base_channels=2) for _ in LEVELS]
    model = Assembly(experts)
    samples = [
        Data(x=torch.randn(17, 8, 3), num_persons=1, y=torch.tensor([label])) for label in range(3)
    ]
    batch = Batch.from_data_list(samples)
    by_hand = copy.deepcopy(model)
    features = by_hand.expert_features(batch.x, batch.batch)
    logits = [by_hand.shared_head((features[0] + features[1]) / 2)]
    logits += [expert.head(part) for expert, part in zip(by_hand.experts, features, strict=True)]
    sum(cross_entropy(part, batch.y, label_smoothing=0.1) for part in logits).backward()
    recognizer = ActionRecognizer(model, 3, lr=0.01, weight_decay=0.0, label_smoothing=0.1)
    trainer = pl.Trainer(max_steps=1, barebones=True, accelerator="cpu")
    trainer.fit(recognizer, DataLoader(samples, batch_size=3))
    for (name, ours), expected in zip(model.named_parameters(), by_hand.parameters(), strict=True):
        # The first step of SGD with Nesterov's momentum of 0.9.
        step = 0.01 * 1.9 * expected.grad
        torch.testing.assert_close(ours, expected - step, rtol=1e-4, atol=1e-6, msg=name)


def test_each_expert_ends_at_its_level(folder: Path) -> None:
    experts = summary(folder)["assembly"]["experts"]
    assert [expert["model"] for expert in experts] == ["stgcn", "stgcnpp"]
    for expert, level in zip(experts, LEVELS, strict=True):
        assert expert["level"] == level
        pruned = expert["params_maskable"] - expert["maskable_kept"]
        # A kept weight may have been trained to zero exactly, where no gradient arrives.
        assert pruned == pytest.approx(round(level * (expert["params_maskable"] - 1)), abs=1)
    assert (folder / "model.sparse.safetensors").exists()
    assert [expert.num_partitions for expert in Run.open(folder).load_model().experts] == [2, 2]


def test_the_papers_assembly_keeps_two_thirds_of_one_expert(tmp_path: Path) -> None:
    levels, maskable, total, head = [0.6, 0.8, 0.95, 0.99], 1_038_436, 1_078_762, 256 * 60 + 60
    config = TrainOptions.of(dataset="none", experts=["dgstgcn"] * 4, levels=levels)
    model = Assembly([create_model("dgstgcn", 60, "ntu25", num_partitions=3) for _ in levels])
    for expert, level in zip(model.experts, levels, strict=True):
        sparsify(expert, level, exclude=UNMASKED).finalize()
    run = Run(tmp_path, config, model.skeleton, [], 3, {})
    counts = assembly_summary(run, model)
    kept = [maskable - round(level * (maskable - 1)) for level in levels]
    assert [expert["params_maskable"] for expert in counts["experts"]] == [maskable] * 4
    assert [expert["maskable_kept"] for expert in counts["experts"]] == kept
    assert counts["kept_of_one"] == pytest.approx(0.66, abs=1e-5)
    assert counts["params_kept"] == sum(kept) + 4 * (total - maskable) + head
    assert counts["params_kept_of_one"] == pytest.approx(counts["params_kept"] / (total + head))


@pytest.mark.parametrize("exclude", [UNMASKED, ""])
@pytest.mark.parametrize("levels", [[0.6, 0.95], [0.6]])
def test_only_what_a_prediction_needs_is_counted(
    tmp_path: Path, levels: list[float], exclude: str
) -> None:
    config = TrainOptions.of(
        dataset="none", experts=["stgcn"] * len(levels), levels=levels, exclude=exclude
    )
    model = Assembly([create_model("stgcn", 9, "coco17", base_channels=4) for _ in levels])
    # No parameter is zero by chance.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    controllers = [
        sparsify(expert, level, exclude=exclude or ())
        for expert, level in zip(model.experts, levels, strict=True)
    ]
    masks = [
        (entry.name, entry.mask.clone())
        for controller in controllers
        for entry in controller.masked
    ]
    maskable = sum(entry.mask.numel() for entry in controllers[0].masked)
    for controller in controllers:
        controller.finalize()
    unneeded = "experts." if len(levels) > 1 else "none"
    kept = sum(
        int(parameter.count_nonzero())
        for name, parameter in model.named_parameters()
        if not (name.startswith(unneeded) and ".head." in name)
    )
    counts = assembly_summary(Run(tmp_path, config, model.skeleton, [], 3, {}), model)
    assert counts["params_kept"] == kept
    heads = "head." if len(levels) > 1 else "none"
    needed = sum(int(mask.sum()) for name, mask in masks if not name.startswith(heads))
    assert counts["kept_of_one"] == pytest.approx(needed / maskable)


def test_every_subset_by_brute_force(folder: Path) -> None:
    rows = json.loads((folder / "assembly.json").read_text())["rows"]
    run = Run.open(folder)
    model, dataset = run.load_model(), open_validation(run)
    dataset.transform = clip_transform(run.config, dataset, train=False, num_views=2)
    (batch,) = make_loader(dataset, 64, run.config.optim.seed, shuffle=False)
    views, found = batch.x.chunk(2, dim=1), {}
    for members in [(0,), (1,), (0, 1)]:
        found[members, "shared"] = found[members, "own"] = 0
        for view in views:
            batch.x = view.contiguous()
            with torch.no_grad():
                features = model.expert_features(batch.x, batch.batch)
                mean = sum(model.expert_factors[e] * features[e] for e in members) / len(members)
                found[members, "shared"] += model.shared_head(mean).softmax(-1) / 2
                found[members, "own"] += (
                    model.experts[members[0]](batch.x, batch.batch).softmax(-1) / 2
                )
    predicted_all = evaluate_model(
        SubsetLogits(model), dataset, run.config, num_views=2
    ).probabilities
    assert len(rows) == predicted_all.shape[1] == 2**2 - 1 + 2
    for place, row in enumerate(rows):
        members = tuple(number - 1 for number in row["experts"])
        expected = found[members, row["head"]]
        torch.testing.assert_close(torch.from_numpy(predicted_all[:, place]), expected)
        predicted = expected.argmax(-1)
        assert row["top1"] == pytest.approx(float((predicted == batch.y).float().mean()))
        assert row["levels"] == [LEVELS[member] for member in members]
    everything = next(row for row in rows if len(row["experts"]) == 2)
    assert everything["top1"] == pytest.approx(summary(folder)["top1"])
    experts = summary(folder)["assembly"]["experts"]
    assert everything["kept"] == pytest.approx(
        sum(expert["maskable_kept"] for expert in experts) / experts[0]["params_maskable"]
    )
    # All that is not zero, but for the classifiers that are not used.
    state = {name: int(part.count_nonzero()) for name, part in model.named_parameters()}
    one = sum(part.numel() for part in model.experts[0].parameters())
    for row in rows:
        members = [f"experts.{number - 1}." for number in row["experts"]]
        taken = sum(
            count
            for name, count in state.items()
            if name.startswith(tuple(members)) and (".head." not in name or row["head"] == "own")
        )
        if row["head"] == "shared":
            taken += state["shared_head.linear.weight"] + state["shared_head.linear.bias"]
            taken += len(members)
        assert row["params_kept"] == pytest.approx(taken / one)
    assert everything["params_kept"] == summary(folder)["assembly"]["params_kept_of_one"]
    with (folder / "assembly.csv").open() as stream:
        written = [(row["experts"], row["levels"], row["head"]) for row in csv.DictReader(stream)]
    assert written[2] == ("1+2", "0.5+0.9", "shared")
    assert (folder / "assembly.png").read_bytes().startswith(b"\x89PNG")


def test_goes_on_as_if_it_had_never_stopped(
    config: TrainOptions, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = EpochTable.on_train_epoch_start

    def fail_in_the_last_epoch(
        self: EpochTable, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("the power is gone")
        begin(self, trainer, pl_module)

    with monkeypatch.context() as patched:
        patched.setattr(EpochTable, "on_train_epoch_start", fail_in_the_last_epoch)
        with pytest.raises(RuntimeError, match="power"):
            train(config, tmp_path / "run")
    train(config, tmp_path / "run", resume=True)
    expected, found = (load_file(run / "model.safetensors") for run in (folder, tmp_path / "run"))
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name


def test_starts_from_another_assembly(config: TrainOptions, folder: Path, tmp_path: Path) -> None:
    again = config.replace(init=str(folder), lr=1e-12, score_lr=1e-12, epochs=1, weight_decay=0.0)
    train(again.replace(levels=[0.0, 0.0]), tmp_path / "run")
    expected, found = (load_file(run / "model.safetensors") for run in (folder, tmp_path / "run"))
    for name in expected:
        if name.endswith("weight"):
            torch.testing.assert_close(expected[name], found[name])


def test_the_sparsity_of_an_epoch_counts_dense_experts(
    config: TrainOptions, tmp_path: Path
) -> None:
    short = config.replace(experts=["stgcn"] * 2, levels=[0.0, 0.9], epochs=1)
    summary = train(short, tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["sparsity"]) == pytest.approx(0.45, abs=0.001)
    assert summary["sparsity"] == pytest.approx(0.45, abs=0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": [0.5, 1.0]}, r"levels 1\.0: out of range; choose from \[0, 1\)"),
        ({"levels": [0.5]}, "2 backbones for 1 level"),
        ({"levels": []}, "experts: needs levels"),
        ({"levels": [], "experts": None}, "learned_weights: needs levels"),
        ({"sparsity": 0.5}, "sparsity 0.5: the experts of an assembly have their own"),
        ({"freeze_backbone": True, "init": "x"}, "freeze_backbone: is for a single model"),
        ({"save_epoch": 0}, "save_epoch: is for a single model"),
        ({"graph": "spatial", "partitions": 2}, "partitions 2: the graph 'spatial' has its own"),
    ],
)
def test_options_that_do_not_fit(
    config: TrainOptions, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(config.replace(**options), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_single_model_has_no_experts(tmp_path: Path, config: TrainOptions) -> None:
    single = config.replace(levels=[], experts=None, learned_weights=False, epochs=1)
    train(single, tmp_path / "run")
    with pytest.raises(InputError, match="is a single stgcn"):
        evaluate_assembly(tmp_path / "run")
