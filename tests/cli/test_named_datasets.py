"""Every kind of source trains through the command line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pyg_stgcn.cli import main

RNG = np.random.default_rng(0)


def annotations(folder: Path) -> Path:
    names = list("abcdefgh")
    items = [
        {
            "frame_dir": name,
            "label": i % 2,
            "img_shape": (240, 320),
            "keypoint": RNG.uniform(1, 200, (1 + i % 2, 15, 17, 2)).astype(np.float16),
            "keypoint_score": RNG.uniform(0.1, 1, (1 + i % 2, 15, 17)).astype(np.float16),
        }
        for i, name in enumerate(names)
    ]
    content = {"split": {"train1": names[:4], "test1": names[4:]}, "annotations": items}
    (folder / "source.pkl").write_bytes(pickle.dumps(content))
    return folder / "source.pkl"


def kinetics_json(folder: Path) -> Path:
    for split in ("train", "val"):
        (folder / f"kinetics_{split}").mkdir()
        for i in range(4):
            persons = [
                {"pose": RNG.uniform(0, 1, 36).round(3).tolist(), "score": [0.5] * 18}
                for _ in range(2)
            ]
            frames = [{"frame_index": t, "skeleton": persons} for t in range(1, 30)]
            label = ("abseiling", "air drumming")[i % 2]
            content = {"data": frames, "label": label, "label_index": i % 2}
            (folder / f"kinetics_{split}/{split}{i}.json").write_text(json.dumps(content))
    return folder


def kinetics_parts(folder: Path) -> Path:
    index, parts = [], {}
    for i, name in enumerate("abcdefgh"):
        frames = np.sort(RNG.integers(0, 20, 40)).astype(np.int16)
        index.append(
            {"frame_dir": name, "label": i % 2, "img_shape": (240, 320), "frame_inds": frames}
        )
        parts[name] = {"keypoint": RNG.uniform(1, 200, (40, 17, 3)).astype(np.float16)}
    content = {"split": {"train": list("abcd"), "val": list("efgh")}, "annotations": index}
    (folder / "k400_hrnet.pkl").write_bytes(pickle.dumps(content))
    (folder / "part.pkl").write_bytes(pickle.dumps(parts))
    return folder


def ucla(folder: Path) -> Path:
    for view in (1, 2, 3):
        for action in ("01", "12"):
            name = f"a{action}_s01_e00_v0{view}"
            skeletons = RNG.normal(size=(12, 20, 3)).tolist()
            (folder / f"{name}.json").write_text(json.dumps({"skeletons": skeletons}))
    return folder


def sbu(folder: Path) -> Path:
    for pair in ("s01s02", "s02s03"):
        for action in ("01", "08"):
            file = folder / pair / action / "001/skeleton_pos.txt"
            file.parent.mkdir(parents=True)
            rows = np.column_stack([np.arange(1, 13), RNG.uniform(0.1, 1, (12, 90))])
            np.savetxt(file, rows, fmt="%g", delimiter=",")
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "hmdb51": annotations,
    "kinetics400-skeleton": kinetics_json,
    "kinetics400-hrnet": kinetics_parts,
    "nw-ucla": ucla,
    "sbu": sbu,
}


def call(*words: object) -> Any:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", SOURCES)
def test_prepare_and_train(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").mkdir()
    source = SOURCES[name](tmp_path / "source")
    where = ("--root", tmp_path / "data", "--source", source, "--json")
    info = call("datasets", "prepare", name, *where)
    assert info["skipped"] == {}
    assert all(next(iter(info["benchmarks"].values())).values())
    size = ("--channels", 4, "--clip-frames", 12, "--epochs", 1, "--batch-size", 4)
    more = ("--eval-views", 1, "--accelerator", "cpu", "--out", tmp_path / "run")
    summary = call("train", "--dataset", name, *where, *size, *more)
    assert 0 <= summary["top1"] <= 1
    assert np.isfinite(np.load(tmp_path / "run/predictions.npz")["probabilities"]).all()
