from __future__ import annotations

import csv
import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from pyg_stgcn.cli import main
from pyg_stgcn.runs.config_file import load_config, save_config
from pyg_stgcn.sparsity import load_ticket
from pyg_stgcn.sparsity.threshold import num_pruned
from pyg_stgcn.training.recognizer import ActionRecognizer

SEED = 3
EPOCHS = 3
VARIANTS = ("ticket", "random", "redrawn")


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def words(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("lottery")
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", EPOCHS, "--batch-size", 18]
    size += ["--eval-views", 1, "--accelerator", "cpu"]
    data = ["--dataset", tiny_pickle, "--root", folder / "data", "--out", folder / "out"]
    drawn = ["--rounds", 2, "--rate", 0.5, "--rewind-epoch", 1, "--seeds", SEED]
    return ["lottery", *drawn, *data, *size]


@pytest.fixture(scope="module")
def out(words: list[object]) -> Path:
    """A finished lottery, whose runs somebody else has started, stage by stage."""
    stages = []
    while lines := call(*words, "--print-commands").stdout.splitlines():
        stages.append(len(lines))
        for line in lines:
            program, *arguments = shlex.split(line)
            assert program == "pyg-stgcn"
            assert call(*arguments).exit_code == 0
    assert stages == [1, 3, 3]
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert "round 2 of 2: 3 of 3 runs finished" in result.stderr
    return Path(str(words[words.index("--out") + 1]))


def tickets(out: Path, number: int, kind: str = "ticket") -> dict[str, torch.Tensor]:
    path = out / f"tickets/round{number}-{kind}-seed{SEED}.safetensors"
    return dict(load_ticket(path).masks)


def test_rounds_prune_what_the_round_before_has_trained(out: Path) -> None:
    before = {name: torch.ones_like(mask) for name, mask in tickets(out, 1).items()}
    for number, trained in ((1, f"dense-seed{SEED}"), (2, f"round1-ticket-seed{SEED}")):
        weights = load_file(out / trained / "model.safetensors")
        masks = tickets(out, number)
        assert not any(name.startswith("head.") for name in masks)
        kept = torch.cat([weights[name][mask].abs() for name, mask in masks.items()])
        gone = torch.cat([weights[name][before[name] & ~masks[name]].abs() for name in masks])
        assert gone.max() <= kept.min()
        numel = sum(mask.numel() for mask in masks.values())
        assert len(kept) == numel - num_pruned(1 - 0.5**number, numel)
        assert all(not (masks[name] & ~before[name]).any() for name in masks)
        before = masks


def test_all_variants_start_where_they_should(out: Path) -> None:
    early = load_file(out / f"dense-seed{SEED}/epoch1.safetensors")
    for number in (1, 2):
        masks, random = tickets(out, number), tickets(out, number, "random")
        assert {n: int(m.sum()) for n, m in masks.items()} == {
            n: int(m.sum()) for n, m in random.items()
        }
        assert any(not masks[name].equal(random[name]) for name in masks)
        for kind in ("ticket", "random"):
            path = out / f"tickets/round{number}-{kind}-seed{SEED}.safetensors"
            ticket = load_ticket(path)
            for name, weight in ticket.weights.items():
                mask = ticket.masks.get(name)
                assert weight.equal(early[name] if mask is None else early[name] * mask)
        for variant in VARIANTS:
            run = out / f"round{number}-{variant}-seed{SEED}"
            with (run / "metrics.csv").open() as stream:
                epochs = [int(row["epoch"]) for row in csv.DictReader(stream)]
            assert epochs == list(range(1 if variant == "redrawn" else 2, EPOCHS + 1))
            weights = load_file(run / "model.safetensors")
            for name, mask in (random if variant == "random" else masks).items():
                assert (weights[name] != 0).equal(mask)


def test_a_stopped_lottery_goes_on(
    words: list[object], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stopped"
    shutil.copytree(out / f"dense-seed{SEED}", folder / f"dense-seed{SEED}")
    more = ["--rounds", 1, "--controls", "none", "--out", folder, "--print-commands"]
    (line,) = call(*words, *more).stdout.splitlines()
    cut = folder / f"round1-ticket-seed{SEED}"

    def stop(recognizer: ActionRecognizer) -> None:
        if (cut / "checkpoints/last.ckpt").exists():
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ActionRecognizer, "on_train_epoch_start", stop)
        assert call(*shlex.split(line)[1:]).exit_code == 128 + signal.SIGTERM
    assert not (cut / "summary.json").exists()
    (again,) = call(*words, *more).stdout.splitlines()
    assert again == f"{line} --resume"
    assert call(*shlex.split(again)[1:]).exit_code == 0
    expected, found = (
        load_file(run / "model.safetensors") for run in (out / f"round1-ticket-seed{SEED}", cut)
    )
    assert all(expected[name].equal(found[name]) for name in expected)
    result = call(*words, *more[:-1])
    assert result.exit_code == 0 and "dense: 1 of 1 run finished" in result.stderr


def test_the_result_is_that_of_the_runs(words: list[object], out: Path) -> None:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content == json.loads((out / "lottery.json").read_text())
    with (out / "lottery.csv").open() as stream:
        rows = {(int(row["round"]), row["variant"]): row for row in csv.DictReader(stream)}
    assert rows.keys() == {(0, "dense"), *((r, variant) for r in (1, 2) for variant in VARIANTS)}
    top1 = {
        key: json.loads((out / folder / "summary.json").read_text())["top1"]
        for key in rows
        for folder in [f"round{key[0]}-{key[1]}-seed{SEED}" if key[0] else f"dense-seed{SEED}"]
    }
    for key, row in rows.items():
        assert float(row["top1"]) == pytest.approx(top1[key])
        assert float(row["kept"]) == pytest.approx(0.5 ** key[0], abs=1e-3)
        if key[1] != "dense":
            assert float(row["difference"]) == pytest.approx(top1[key] - top1[0, "dense"])
        if key[1] in ("random", "redrawn"):
            assert float(row["lead"]) == pytest.approx(top1[key[0], "ticket"] - top1[key])
    assert "at least two seeds" in content["verdict"]
    text = call(*words, "--figure", out / "paper.pdf").stdout
    for row in content["rows"]:
        assert all(f"{100 * row[name]:.3g} %" in text for name in ("kept", "params_kept_fraction"))
    assert (out / "lottery.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "paper.pdf").read_bytes().startswith(b"%PDF")


def test_another_lottery_is_not_mistaken(words: list[object], out: Path) -> None:
    result = call(*words, "--rate", 0.4)
    assert result.exit_code == 1
    assert "is a ticket with sparsity 0.5, not 0.4; name another folder" in (
        " ".join(result.stderr.split())
    )
    assert "with --save-epoch 1, not 2" in call(*words, "--rewind-epoch", 2).stderr


def test_masks_of_a_sparse_run(words: list[object], out: Path, tmp_path: Path) -> None:
    folder, source = tmp_path / "from", out / f"round2-ticket-seed{SEED}"
    # The dense run of the seed is there already.
    shutil.copytree(out / f"dense-seed{SEED}", folder / f"dense-seed{SEED}")
    data = words[words.index("--dataset") :]
    own = ["--rewind-epoch", 1, "--controls", "none", "--from"]
    result = call("lottery", *data, "--out", folder, "--print-commands", *own, source)
    (line,) = result.stdout.splitlines()
    assert call(*shlex.split(line)[1:]).exit_code == 0
    # The same masks and the same start make the same run.
    expected, found = (
        load_file(run / "model.safetensors")
        for run in (source, folder / f"round1-ticket-seed{SEED}")
    )
    assert all(expected[name].equal(found[name]) for name in expected)
    other = out / f"round2-random-seed{SEED}"
    refused = call("lottery", *data, "--out", folder, *own, other)
    said = " ".join(refused.stderr.split())
    assert refused.exit_code == 1
    assert f"has earlier masks of {source}, not those of {other}" in said
    # What does not depend on the trained network is found before it is trained.
    unfinished, assembly = tmp_path / "unfinished", tmp_path / "assembly"
    for copied in (unfinished, assembly):
        shutil.copytree(source, copied)
    (unfinished / "model.safetensors").unlink()
    config, metadata = load_config(assembly / "config.toml")
    experts = {"levels": [0.5, 0.9], "experts": ["stgcn", "stgcn"]}
    config = config.replace(ticket=None, sparsity=0.0, **experts)
    save_config(assembly / "config.toml", config, metadata)
    for words_, message in (
        ([out / f"dense-seed{SEED}"], "is a dense run, which has no masks"),
        ([source, "--channels", 8], "is a run with --channels 4, not 8"),
        ([source, "--backbone", "stgcnpp"], "is a run with --backbone stgcn, not stgcnpp"),
        ([unfinished], "the run is not finished"),
        ([assembly], "is an assembly, whose experts have masks of their own"),
    ):
        refused = call("lottery", *data, "--out", tmp_path / "x", *own, *words_)
        assert refused.exit_code == 1 and message in " ".join(refused.stderr.split())
        assert not (tmp_path / "x").exists()


def test_masks_of_a_patterned_run(words: list[object], out: Path, tmp_path: Path) -> None:
    data = [
        *words[words.index("--dataset") : words.index("--out")],
        *words[words.index("--channels") :],
    ]
    source, folder = tmp_path / "source", tmp_path / "from"
    pruned = [
        "--sparsity",
        0.5,
        "--structure",
        "channel",
        "--include",
        "stages.1.*",
        "--seed",
        SEED,
    ]
    assert call("train", *data, *pruned, "--out", source).exit_code == 0
    shutil.copytree(out / f"dense-seed{SEED}", folder / f"dense-seed{SEED}")
    own = ["--rewind-epoch", 1, "--print-commands", "--from", source]
    result = call("lottery", *data, "--out", folder, *own)
    assert result.exit_code == 0, result.output
    found, random = tickets(folder, 1), tickets(folder, 1, "random")
    trained = load_file(source / "model.safetensors")
    assert all(name.startswith("stages.1.") for name in found)
    assert any(not mask.equal(random[name]) for name, mask in found.items())
    for name, mask in found.items():
        assert mask.equal(trained[name] != 0)
        rows = random[name].flatten(1)
        assert rows.all(1).equal(rows.any(1)) and rows.sum() == mask.sum()
    # A job can be started by hand as it is printed.
    line = next(line for line in result.stdout.splitlines() if "-random-" in line)
    assert call(*shlex.split(line)[1:]).exit_code == 0
    summary = json.loads((folder / f"round1-random-seed{SEED}/summary.json").read_text())
    assert summary["params_maskable"] == sum(mask.numel() for mask in random.values())
    assert summary["maskable_kept"] == sum(int(mask.sum()) for mask in random.values())


def test_only_some_weights_are_searched(words: list[object], out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    shutil.copytree(out / f"dense-seed{SEED}", folder / f"dense-seed{SEED}")
    path = folder / f"dense-seed{SEED}/config.toml"
    config, metadata = load_config(path)
    save_config(path, config.replace(include="stages.1.*"), metadata)
    own = [*words, "--out", folder, "--print-commands", "--include"]
    result = call(*own, "stages.1.*")
    assert result.exit_code == 0 and "--include" not in result.stdout
    assert all(name.startswith("stages.1.") for name in tickets(folder, 1))
    save_config(path, config.replace(include="stages.2.*"), metadata)
    refused = call(*own, "stages.2.*")
    assert refused.exit_code == 1
    assert "is a ticket with include stages.1.*, not stages.2.*" in " ".join(refused.stderr.split())


def test_an_epoch_that_the_runs_do_not_have(words: list[object], tmp_path: Path) -> None:
    result = call(*words, "--out", tmp_path / "x", "--epochs", 5, "--rewind-epoch", 5)
    assert result.exit_code == 2
    assert "--rewind-epoch: 5: the runs have 5 epochs" in " ".join(result.stderr.split())
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--seeds", 0.5], "choose from whole numbers"),
        (["--rate", 0.2, "--final-sparsity", 0.9], "say the same"),
        (["--rate", 1], "--rate"),
        (["--controls", "shuffled"], "shuffled"),
        (["--seeds", 0, 1, 0], "name a seed twice"),
        (["--from", "runs/score", "--rounds", 3], "leave --rounds out"),
        (["--from", "runs/score", "--include", "stages.*"], "leave --include out"),
        (["--sparsity", 0.9], "--sparsity"),
        ([], "--dataset is missing"),
    ],
)
def test_wrong_usage(given: list[object], message: str) -> None:
    result = call("lottery", *given, *([] if not given else ["--dataset", "synthetic"]))
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_ticket_brings_its_masks() -> None:
    for option, value in (("--method", "feedback"), ("--exclude", ""), ("--freeze-after", 0.5)):
        result = call("train", "--dataset", "synthetic", "--ticket", "x", option, value)
        assert result.exit_code == 2
        assert f"leave {option} out" in result.stderr
