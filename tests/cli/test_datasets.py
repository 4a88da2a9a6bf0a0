from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pyg_stgcn.cli import main
from pyg_stgcn.datasets.synthetic.synthetic_actions import generate_clip
from pyg_stgcn.plots.clip_scene import EDGE_COLOR
from pyg_stgcn.skeletons import get_skeleton


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def show(dataset: Path | str, root: Path, *options: object) -> Result:
    return call("datasets", "show", dataset, "--root", root, *options)


def failed(result: Result, code: int) -> str:
    """The message of a command that failed without a traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, root: Path) -> Path:
    folder = root / "run"
    size = ["--channels", 4, "--clip-frames", 12, "--epochs", 1, "--batch-size", 12]
    size += ["--eval-views", 1, "--edge-sparsity", 0.9, "--accelerator", "cpu"]
    result = call("train", "--dataset", tiny_pickle, "--root", root, *size, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_info_looks_at_lengths_and_missing_joints(tiny_pickle: Path, tmp_path: Path) -> None:
    content = pickle.loads(tiny_pickle.read_bytes())
    for annotation in content["annotations"]:
        annotation["keypoint"][:, :, :4] += 1  # No joint of the chain is at zero by itself.
    frames = [len(annotation["keypoint"][0]) for annotation in content["annotations"]]
    content["annotations"][3]["keypoint"][0, :2, 1] = 0
    content["annotations"][4]["keypoint"][0, :3] = 0
    path = tmp_path / "holes.pkl"
    path.write_bytes(pickle.dumps(content))
    info = json.loads(call("datasets", "info", path, "--root", tmp_path, "--json").stdout)
    rows = sum(
        len(annotation["keypoint"]) * len(annotation["keypoint"][0])
        for annotation in content["annotations"]
    )
    assert info["missing_joints"]["fraction"] == pytest.approx(2 / (rows - 3) / 5)
    assert info["missing_joints"]["worst"] == {"joint1": pytest.approx(2 / (rows - 3))}
    assert info["frames_missing_a_person"] == pytest.approx(3 / sum(frames))
    assert info["frames_missing_the_main_person"] == pytest.approx(3 / sum(frames))
    histogram = info["frame_histogram"]
    assert sum(row["clips"] for row in histogram) == 54
    assert histogram[0]["from"] == min(frames) and histogram[-1]["to"] >= max(frames)
    text = call("datasets", "info", path, "--root", tmp_path).stdout
    assert "joint1" in text and "frames missing the main person" in text
    assert f"{histogram[0]['from']} to {histogram[0]['to']}" in text


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips in the order of the skeleton ntu25, and the same in another order."""
    other = np.random.default_rng(0).permutation(25)
    folder = tmp_path_factory.mktemp("bodies")
    paths = {}
    for name, order in (("right", np.arange(25)), ("wrong", other)):
        annotations = [
            {"frame_dir": f"clip{action}", "label": action, "keypoint": clip[:, :, order]}
            for action in range(8)
            for clip in [generate_clip(0, 1, 3, action, 0)]
        ]
        paths[name] = folder / f"{name}.pkl"
        paths[name].write_bytes(pickle.dumps(annotations))
    return paths


def test_info_tells_where_the_joints_are(bodies: dict[str, Path], tmp_path: Path) -> None:
    info = json.loads(call("datasets", "info", bodies["right"], "--json").stdout)
    assert info["up"] == "+y" and info["lengths_in"] == "units of the data"
    assert info["warnings"] == []
    heights = info["joint_heights"]
    assert list(heights) == list(get_skeleton("ntu25").joints)
    assert heights["spine_mid"] == 0 and heights["head"] > 0.3 and heights["left_foot"] < -0.9
    bones = {(bone["child"], bone["parent"]): bone for bone in info["bones"]}
    assert len(bones) == 24
    assert 0.3 < bones["left_knee", "left_hip"]["length"] < 0.6
    assert bones["left_knee", "left_hip"]["variation"] < 0.1
    figure = tmp_path / "data.svg"
    text = call("datasets", "info", bodies["right"], "--figure", figure).stdout
    assert f"figure: {figure}" in text and "right_thumb" in figure.read_text(encoding="utf-8")
    row = next(line.split() for line in text.splitlines() if "left_hip" in line)
    assert row[:2] == ["12", "left_hip"] and row[3] == "spine_base" and row[-1].endswith("%")
    assert "height (+y)" in text and "units of the data" in text


@pytest.mark.parametrize("command", ["info", "prepare", "show"])
def test_a_wrong_order_of_the_joints_is_warned_of(
    bodies: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    options: list[object] = ["--clip", 0, "--figure", tmp_path / "clip.png"]
    for _ in ("store built", "store there"):
        caplog.clear()
        result = show(bodies["wrong"], tmp_path, *options)
        if command != "show":
            result = call("datasets", command, bodies["wrong"], "--root", tmp_path / command)
        assert result.exit_code == 0, result.output
        texts = [record.message for record in caplog.records]
        assert any("do not lie in the order of the skeleton 'ntu25'" in text for text in texts)
    info = json.loads(
        call("datasets", "info", bodies["wrong"], "--root", tmp_path, "--json").stdout
    )
    assert "do not lie in the order" in info["warnings"][0]


def test_joints_that_are_never_there_have_no_height(
    bodies: dict[str, Path], tmp_path: Path
) -> None:
    annotations = pickle.loads(bodies["right"].read_bytes())
    for annotation in annotations:
        annotation["keypoint"][:, :, 3] = 0
    path = tmp_path / "headless.pkl"
    path.write_bytes(pickle.dumps(annotations))
    info = json.loads(call("datasets", "info", path, "--json").stdout)
    assert info["joint_heights"]["head"] is None
    (bone,) = [bone for bone in info["bones"] if bone["child"] == "head"]
    assert bone["length"] is None and bone["variation"] is None
    assert call("datasets", "info", path).exit_code == 0


def test_prepare_does_not_look_at_the_coordinates(tiny_pickle: Path, root: Path) -> None:
    prepared = json.loads(call("datasets", "prepare", tiny_pickle, "--root", root, "--json").stdout)
    assert "missing_joints" not in prepared


def test_show_draws_a_clip(tiny_pickle: Path, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    result = show(tiny_pickle, root, "--clip", "clip01", "--figure", path, "--fps", 25)
    assert result.exit_code == 0 and str(path) in result.stdout
    annotation = pickle.loads(tiny_pickle.read_bytes())["annotations"][1]
    with Image.open(path) as image:
        assert image.n_frames == annotation["total_frames"]
        assert image.info["duration"] == 40
    for name in ("clip01", 1):
        assert show(tiny_pickle, root, "--clip", name, "--figure", tmp_path / f"{name}.png").stdout
    assert (tmp_path / "clip01.png").read_bytes() == (tmp_path / "1.png").read_bytes()


def test_show_draws_the_graph_of_a_run(
    tiny_pickle: Path, root: Path, run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "clip.png"
    result = show(tiny_pickle, root, "--clip", 0, "--figure", path, "--run", run)
    assert result.exit_code == 0, result.output
    red, green, blue = bytes.fromhex(EDGE_COLOR[1:])
    with Image.open(path) as image:
        colors = [color for _, color in image.convert("RGB").getcolors(2**24)]
    assert (red, green, blue) in colors


def test_what_cannot_be_shown(tiny_pickle: Path, root: Path, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.png"
    message = failed(show("no-such", root, "--clip", 0, "--figure", tmp_path / "clip.jpg"), 2)
    assert "--figure" in message and ".gif" in message and ".png" in message
    message = failed(show(tiny_pickle, root, "--clip", "clip_1", "--figure", path), 1)
    assert "'clip_1'" in message and "did you mean 'clip" in message
    content = pickle.loads(tiny_pickle.read_bytes())
    content["meta"]["joints"] = list("abcde")
    other = root / "other.pkl"
    other.write_bytes(pickle.dumps(content))
    message = failed(show(other, root, "--clip", 0, "--figure", path, "--run", run), 1)
    assert "'tiny'" in message and "'other'" in message
    assert not any(tmp_path.iterdir())
    locked = show(tiny_pickle, root, "--clip", 0, "--figure", tmp_path / "nowhere" / "clip.png")
    assert "there is no folder" in failed(locked, 2)


def harmed(tiny_pickle: Path, path: Path, bad: int) -> Path:
    """The pickle with some clips that cannot be used."""
    content = pickle.loads(tiny_pickle.read_bytes())
    for annotation in content["annotations"][1 : 1 + bad]:
        annotation["keypoint"][:] = float("nan")
    path.write_bytes(pickle.dumps(content))
    return path


def test_bad_clips_are_left_out_and_listed(tiny_pickle: Path, tmp_path: Path) -> None:
    path = harmed(tiny_pickle, tmp_path / "harmed.pkl", 12)
    message = failed(call("datasets", "info", path, "--strict"), 1)
    assert "clip 'clip01' has" in message and "more" not in message
    text = call("datasets", "info", path).stdout
    assert "clip01" in text and "clip12" in text and "NaN" in text
    skipped = json.loads(call("datasets", "info", path, "--json").stdout)["skipped"]
    assert list(skipped) == [f"clip{i:02}" for i in range(1, 13)]


def test_more_bad_than_good_clips_need_an_option(tiny_pickle: Path, tmp_path: Path) -> None:
    path = harmed(tiny_pickle, tmp_path / "harmed.pkl", 30)
    for command in (["info"], ["prepare"], ["show", "--clip", 0, "--figure", tmp_path / "a.png"]):
        message = failed(call("datasets", command[0], path, *command[1:]), 1)
        assert "29 more of 54 clips cannot be used; leave them out with --skip-bad" in message
    message = failed(call("datasets", "prepare", path, "--skip-bad", "--strict"), 1)
    assert "give one of the two" in message
    prepared = json.loads(call("datasets", "prepare", path, "--skip-bad", "--json").stdout)
    assert prepared["clips"] == 24
    assert json.loads(call("datasets", "info", path, "--json").stdout)["clips"] == 24


def test_2d_joints_without_image_sizes_are_refused_before_anything_is_written(
    tiny_pickle: Path, tmp_path: Path
) -> None:
    content = pickle.loads(tiny_pickle.read_bytes())
    for annotation in content["annotations"]:
        annotation["keypoint"] = annotation["keypoint"][..., :2]
    path = tmp_path / "flat.pkl"
    path.write_bytes(pickle.dumps(content))
    out = tmp_path / "out"
    for command in (
        ["datasets", "info", path],
        ["datasets", "prepare", path],
        ["datasets", "show", path, "--clip", 0, "--figure", tmp_path / "a.png"],
        ["train", "--dataset", path, "--accelerator", "cpu", "--out", out],
    ):
        message = failed(call(*command), 1)
        assert "add img_shape to all clips: (height, width) of their video in pixels" in message
        assert not out.exists()
