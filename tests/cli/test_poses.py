from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from pyg_stgcn.cli import main
from pyg_stgcn.poses.open_poses import open_poses
from pyg_stgcn.poses.video_file import write_video

pytest.importorskip("av", reason="the extra 'video' is not installed")

#: Two persons where the image is bright, else nobody.
ESTIMATOR = """
import numpy as np
from pyg_stgcn.poses.estimators import FunctionEstimator
from pyg_stgcn.skeletons import get_skeleton

def find(image):
    persons = np.zeros((2, 17, 3))
    persons[..., :2] = 10 + np.arange(34).reshape(17, 2)
    persons[1, :, 0] += 300
    persons[..., 2] = 0.8
    return persons[: 2 if image.mean() > 100 else 0]

estimator = FunctionEstimator(find, get_skeleton("coco17"))
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames, of which the first two are dark."""
    path = tmp_path_factory.mktemp("video") / "wave.mp4"
    levels = (0, 0, 200, 200, 200, 200)
    write_video(path, [np.full((120, 640, 3), level, np.uint8) for level in levels], 12.5)
    return path


@pytest.fixture(autouse=True)
def _in_folder_of_estimator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stand_in_estimator.py").write_text(ESTIMATOR)
    monkeypatch.chdir(tmp_path)


def call(*words: object) -> Result:
    named = ["--estimator", "stand_in_estimator:estimator"]
    return CliRunner().invoke(main, ["poses", *map(str, words), *named])


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["videos"]
    return found


def test_poses_of_a_video(video: Path) -> None:
    result = call(video, "--out", "poses.json", "--overlay", "overlay.gif", "--json")
    (row,) = rows(result)
    assert row["frames"] == 6 and row["frames_with_persons"] == 4 and row["persons"] == 2
    (recording,) = open_poses("poses.json")
    assert recording.skeleton.name == "coco17" and recording.fps == 12.5
    assert recording.image_size == (120, 640)
    frames = [frame for frame in recording.frames() if len(frame.joints)]
    assert [frame.number for frame in frames] == [2, 3, 4, 5]
    for frame in frames:
        assert frame.tracks is not None and frame.tracks.tolist() == [0, 1]
        assert np.array_equal(frame.joints[0], 10 + np.arange(34).reshape(17, 2))
        assert np.allclose(frame.scores, 0.8)
    with Image.open("overlay.gif") as overlay:
        assert overlay.size == (480, 90)
    assert "wave.mp4" in call(video, "--out", "poses.json").stdout
    (row,) = rows(call(video, "--out", "poses.json", "--max-persons", 1, "--json"))
    assert row["persons"] == 1


def test_videos_of_a_folder(video: Path) -> None:
    Path("videos/run").mkdir(parents=True)
    for name in ("run/1.mp4", "run/2.mp4", "jump.mp4"):
        shutil.copy(video, Path("videos", name))
    Path("videos/notes.txt").write_text("no video")
    Path("videos/bad.mp4").write_bytes(video.read_bytes()[:500])
    result = call("videos", "--out", "poses")
    assert result.exit_code == 1
    assert "skipped: videos/bad.mp4: " in result.stderr
    assert "1 of 4 videos were skipped" in result.stderr
    found = sorted(str(path) for path in Path("poses").rglob("*") if path.is_file())
    assert found == ["poses/jump.json", "poses/run/1.json", "poses/run/2.json"]

    # A second call does what is missing.
    Path("videos/bad.mp4").unlink()
    Path("poses/jump.json").unlink()
    before = Path("poses/run/1.json").stat().st_mtime_ns
    (row,) = rows(call("videos", "--out", "poses", "--json"))
    assert row["video"] == "videos/jump.mp4"
    assert Path("poses/run/1.json").stat().st_mtime_ns == before
    # Poses that are there are no reason to leave an overlay out.
    rows(call("videos/jump.mp4", "--out", "poses", "--overlay", "overlay.gif", "--json"))
    assert Path("overlay.gif").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.mp4", "--out", "p.json"], "missing.mp4: there is no such file"),
        (["VIDEO", "OTHER", "--out", "p.json"], "--out: p.json is one file for 2 videos"),
        (["VIDEO", "OTHER", "--out", "p", "--overlay", "o.gif"], "o.gif is one file for 2"),
        (["VIDEO", "NAMESAKE", "--out", "p"], "the poses of both would be written to p/wave.json"),
        (["VIDEO", "--out", "p.json", "--overlay", "o.avi"], "ends in .mp4 or .gif"),
        (["VIDEO", "--out", "p.json", "--overlay", "VIDEO"], "is the video itself"),
        (["nothing", "--out", "p"], "nothing: contains no video"),
        (["VIDEO"], "--out"),
    ],
)
def test_wrong_calls(video: Path, words: list[str], message: str) -> None:
    Path("nothing").mkdir()
    paths = {"VIDEO": video, "OTHER": Path("other.mp4"), "NAMESAKE": Path("copy/wave.avi")}
    for path in (paths["OTHER"], paths["NAMESAKE"]):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(video, path)
    result = call(*(paths.get(word, word) for word in words))
    assert result.exit_code and message in result.stderr
    assert not Path("p").exists() and not Path("p.json").exists()


def test_nothing_is_left_of_a_damaged_video(video: Path) -> None:
    Path("bad.mp4").write_bytes(video.read_bytes()[:500])
    result = call("bad.mp4", "--out", "poses.json")
    assert result.exit_code == 1 and result.stderr.startswith("Error: bad.mp4: ")
    assert not Path("poses.json").exists()
