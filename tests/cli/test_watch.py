"""``watch``: poses in, events out, in the real engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from pyg_stgcn.cli import main
from pyg_stgcn.engine import library as binding
from pyg_stgcn.engine import load
from pyg_stgcn.errors import InputError, warn_once
from pyg_stgcn.models import create_model
from pyg_stgcn.poses import camera, open_poses, write_poses
from pyg_stgcn.recognition import save, save_engine

GENUINE = Path(__file__).parents[3] / "shared/data/poses/alphapose_coco17"
CLASSES = ["left", "right"]
STEPS = {"stream": "joint", "clip_frames": 16, "has_score": True}
LEFT, RIGHT = 10.0, 80.0
WORDS = ("--image-size", "100x100", "--hold", "5")


@pytest.fixture(autouse=True)
def _with_library() -> None:
    try:
        binding.library()
    except InputError as error:
        pytest.skip(str(error))


def pose(side: float, place: float = 0.0, score: float = 0.9) -> NDArray[np.float64]:
    """A person ``[V, 3]`` on a side of the image."""
    shape = 20 * np.random.default_rng(5).random((17, 2))
    return np.concatenate([shape + [side, 40 * place + 5], np.full((17, 1), score)], axis=1)


def make_model(name: str, folder: Path) -> Path:
    """A model that tells on which side of the image a person is."""
    torch.manual_seed(0)
    size: dict[str, Any] = {"base_channels": 16, "num_stages": 2, "inflate_stages": []}
    size["down_stages"] = [2]
    model = create_model(name, 2, "coco17", **size).eval()
    path, seen = folder / f"{name}.stgcn", []
    save_engine(path, model, CLASSES, STEPS)
    for side in (LEFT, RIGHT):
        with load(path) as engine, engine.stream(image_size=(100, 100)) as stream:
            stream.push(np.repeat(pose(side)[None], 40, axis=0))
            seen.append(torch.from_numpy(stream.features()))
    apart = seen[1] - seen[0]
    with torch.no_grad():
        weight = 10 * torch.stack([-apart, apart]) / (apart @ apart)
        model.head.linear.weight.copy_(weight)
        model.head.linear.bias.copy_(-weight @ (seen[0] + seen[1]) / 2)
    save_engine(path, model, CLASSES, STEPS)
    save(
        path.with_suffix(".safetensors"),
        model,
        options=[{"name": name, **size}],
        classes=CLASSES,
        preprocessing=STEPS,
    )
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        binding.library()
    except InputError as error:
        pytest.skip(str(error))
    return make_model("stgcn", tmp_path_factory.mktemp("models"))


def line(number: int, *persons: NDArray[np.float64], **more: Any) -> str:
    found = [{"joints": person.tolist()} for person in persons]
    return json.dumps({"frame": number, "persons": found, **more}) + "\n"


def sides(*pieces: tuple[float, int], first: int = 0) -> str:
    """Lines of one person who is on a side for a number of frames, and then on another one."""
    places = [side for side, length in pieces for _ in range(length)]
    return "".join(line(n, pose(side)) for n, side in enumerate(places, first))


def watch(model: Path, text: str | None, *words: object) -> Result:
    return CliRunner().invoke(main, ["watch", str(model), *map(str, words or WORDS)], input=text)


def ended(result: Result) -> list[tuple[Any, ...]]:
    """Track, class, first and last frame of the events; each has been told twice."""
    assert result.exit_code == 0, result.output
    rows = [json.loads(text) for text in result.stdout.splitlines()]
    begun = {(row["track"], row["label"], row["first_frame"]) for row in rows}
    ends = [row for row in rows if row["event"] == "end"]
    assert len(rows) == 2 * len(ends) and len(begun) == len(ends)
    return [(row["track"], row["label"], row["first_frame"], row["last_frame"]) for row in ends]


def test_events_lie_where_the_person_moves(model: Path) -> None:
    text = sides((LEFT, 60), (RIGHT, 60))
    result = watch(model, text, *WORDS, "--fps", 10)
    (_, left, first, last), (_, right, begin, end) = ended(result)
    assert (left, right, first, end) == ("left", "right", 0, 119)
    assert abs(last - 60) < 5 and abs(begin - 60) < 5
    assert json.loads(result.stdout.splitlines()[-1])["end"] == 12.0
    assert "2 classes; an answer is about the last 16 frames" in result.stderr
    delay = int(re.findall(r"answers are (\d+) frames? late", result.stderr)[0])
    assert 0 < delay < 16
    assert "standard input: 120 frames" in result.stderr and "2 events" in result.stderr
    # The exported file of the same model, and a class that is background.
    other = watch(model.with_suffix(".safetensors"), text, *WORDS, "--fps", 10)
    assert ended(other) == ended(result)
    assert [row[1] for row in ended(watch(model, text, *WORDS, "--background", "left"))] == [
        "right"
    ]


def test_a_model_of_whole_clips_says_so(tmp_path: Path) -> None:
    result = watch(make_model("ctrgcn", tmp_path), sides((LEFT, 40)))
    ((track, label, first, last),) = ended(result)
    # The middle of the first window.
    assert (track, label, last) == (0, "left", 39) and first < 10
    assert "a window of 16 frames, computed as a clip every 4 frames" in result.stderr


def test_persons_come_and_go(model: Path) -> None:
    text = "".join(
        line(n, *([pose(LEFT)] if n < 60 else []), *([pose(RIGHT, 1)] if n >= 30 else []))
        for n in range(120)
    )
    (one, left, first, last), (other, right, begin, end) = ended(watch(model, text))
    assert (one, left, last, other, right, end) == (0, "left", 59, 1, "right", 119)
    assert first < 5 and 30 <= begin < 35
    assert {row[0] for row in ended(watch(model, text, *WORDS, "--together"))} == {None}


def test_a_crowd_is_followed_up_to_the_limit(model: Path) -> None:
    crowd = [pose(LEFT if n % 2 else RIGHT, 5 * n) for n in range(300)]
    text = "".join(line(n, *crowd) for n in range(24))
    warn_once.cache_clear()
    result = watch(model, text, "--image-size", "60000x100", "--hold", 5)
    assert len({row[0] for row in ended(result)}) == 16
    assert "more than 16 persons are there" in result.stderr
    assert "give a higher --max-persons" in result.stderr


@pytest.mark.parametrize("together", [False, True])
def test_a_wrong_detection_beside_a_person_is_left_out(model: Path, together: bool) -> None:
    """All its joints lie in the corner of the image, which no model reads as pixels."""
    wrong = np.full((17, 3), 0.9)
    words = (*WORDS, *(["--together"] if together else []))
    text = "".join(line(n, pose(LEFT), *([wrong] if 50 <= n < 60 else [])) for n in range(99))
    warn_once.cache_clear()
    result = watch(model, text, *words)
    assert ended(result) == [(None if together else 0, "left", 0, 98)]
    assert "a person is left out: all joints lie within 1.5 pixels" in result.stderr
    # Where nobody has been read, the units may be wrong.
    result = watch(model, "".join(line(n, wrong) for n in range(9)), *words)
    assert result.exit_code == 1 and "Error: all joints lie within 1.5 pixels" in result.stderr


def test_wrong_lines_are_told_and_do_not_end_the_stream(model: Path) -> None:
    nan = line(5, pose(LEFT, score=float("nan")))
    joints = line(6, pose(LEFT)[:16])
    good = sides((LEFT, 40))
    result = watch(model, good + "Loading\n" + nan + joints + good[:70])
    assert ended(result) == [(0, "left", 0, 39)]
    for number, reason in ((41, "is no JSON"), (42, "finite"), (43, "16 joints"), (44, "cut off")):
        assert f"line {number}" in result.stderr and reason in result.stderr


def test_numbers_may_jump_and_begin_again(model: Path) -> None:
    text = sides((LEFT, 40)) + sides((RIGHT, 40), first=10**6) + sides((LEFT, 40), first=10**5)
    result = watch(model, text)
    assert [(row[1], row[3]) for row in ended(result)] == [
        ("left", 39),
        ("right", 10**6 + 39),
        ("left", 10**5 + 39),
    ]
    assert "frame 100,000 comes after frame 1,000,039: another sequence begins" in result.stderr


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("", WORDS, "standard input: is empty; write a line for each frame, such as"),
        ("no\n", WORDS, "no line is a frame; the first wrong one: standard input: line 1"),
        (sides((LEFT, 1)), ("--hold", "5"), "--image-size, their height and width in pixels"),
        (sides((LEFT, 1)), (*WORDS, "--background", "lift"), "did you mean 'left'"),
        (sides((LEFT, 1)), (*WORDS, "--hold", "1s"), "--hold 1s: the frames have no times"),
        (sides((LEFT, 1)), (*WORDS, "--end-threshold", "0.7"), "--end-threshold 0.7 is above"),
        (None, (*WORDS, "--source", "nothing.json"), "nothing.json: there is no such file"),
    ],
)
def test_what_cannot_be_watched_is_one_error(
    model: Path, text: str | None, words: tuple[str, ...], message: str
) -> None:
    result = watch(model, text, *words)
    assert result.exit_code == 1 and not result.stdout
    assert message in " ".join(result.stderr.split())


def test_options_without_use_are_refused(model: Path, tmp_path: Path) -> None:
    lines = tmp_path / "poses.jsonl"
    lines.write_text(sides((LEFT, 40)))
    for words, message in (
        (["--estimator", "movenet"], "--estimator: lines of poses need no estimator"),
        (["--source", "camera", "--drop"], "--drop: a camera drops images anyway"),
        (["--source", "camera:x", "--fps", 30], "--fps: a camera tells it by itself"),
        (["--source", "camera", "--image-size", "9x9"], "--image-size: a camera tells it"),
        (["--source", lines, "--drop"], "--drop: of a file nothing is dropped"),
    ):
        result = watch(model, "", *words)
        assert result.exit_code == 2 and message in result.stderr


def test_of_lines_that_are_dropped_neither_the_description_nor_the_last_one_is(
    model: Path,
) -> None:
    """A program that writes faster than frames are read, and an empty line after each."""
    description = '{"meta_info": {"image_size": [100, 100]}}\n'
    text = "\n".join(sides((LEFT, 4000)).splitlines(keepends=True)) + "\n\n"
    result = watch(model, description + text, "--drop")
    assert result.exit_code == 0, result.output


def test_an_empty_room_is_no_error(model: Path) -> None:
    result = watch(model, "".join(line(n) for n in range(50)))
    assert ended(result) == [] and "no line shows a person: 0 events" in result.stderr


def test_poses_without_their_option_are_told(model: Path) -> None:
    result = CliRunner().invoke(main, ["watch", str(model), "hand.json"])
    assert result.exit_code == 2
    assert "'hand.json' is no option; name poses as --source hand.json" in result.stderr


def test_without_the_library_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_FOLDER", tmp_path)
    binding.library.cache_clear()
    result = watch(tmp_path, "")
    monkeypatch.undo()
    binding.library.cache_clear()
    assert result.exit_code == 1
    assert "the library of the engine is missing" in result.stderr


def test_genuine_poses_from_a_file_and_line_by_line(model: Path, tmp_path: Path) -> None:
    if not GENUINE.exists():
        pytest.skip("needs the genuine poses of shared/data")
    source = GENUINE / "Activity3_first120.json"
    words = ("--image-size", "576x720", "--threshold", 0.5)
    found = ended(watch(model, None, *words, "--source", source))
    assert len({row[0] for row in found}) > 1
    (recording,) = open_poses(source, image_size=(576, 720))
    write_poses(recording, tmp_path / "poses.json")
    assert ended(watch(model, (tmp_path / "poses.json").read_text(), *words)) == found


def test_a_camera(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's test image in place of a camera: whoever looks at it sees a person."""
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    (tmp_path / "sees_a_person.py").write_text(
        "import numpy as np\n"
        "from pyg_stgcn.poses.estimators import FunctionEstimator\n"
        "from pyg_stgcn.skeletons import get_skeleton\n"
        f"person = np.array({pose(RIGHT).tolist()})[None]\n"
        "estimator = FunctionEstimator(lambda image: person, get_skeleton('coco17'))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera.platform, "system", lambda: "test")
    monkeypatch.setitem(camera._INPUTS, "test", ("lavfi", "testsrc=size=100x100"))
    source = "camera:testsrc=size=100x100:rate=100:duration=1"
    words = ("--source", source, "--estimator", "sees_a_person:estimator", "--hold", 1)
    result = watch(model, None, *words)
    assert result.exit_code == 0, result.output
    numbers = [re.findall(rf"(\d+) frames?{word}", result.stderr) for word in (",", " dropped")]
    assert sum(int(found) for one in numbers for found in one) == 100


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("closed", [False, True])
def test_the_end_by_a_signal_or_without_a_reader(
    model: Path, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """An event comes while the input stays open; the event is ended before the command."""
    stdin, writer = os.pipe()
    reader, stdout = os.pipe()
    rows: list[dict[str, Any]] = []

    def other_side() -> None:
        os.write(writer, sides((LEFT, 40)).encode())
        rows.append(json.loads(lines.readline()))
        if closed:
            lines.close()
        else:
            os.kill(os.getpid(), signal.SIGTERM)
            rows.append(json.loads(lines.readline()))

    thread = threading.Thread(target=other_side)
    lines = os.fdopen(reader)
    with os.fdopen(stdin) as source, os.fdopen(stdout, "w") as sink:
        monkeypatch.setattr("sys.stdin", source)
        monkeypatch.setattr("sys.stdout", sink)
        thread.start()
        try:
            main(["watch", str(model), *WORDS], standalone_mode=False)
            code = 0
        except SystemExit as stop:
            code = stop.code
        finally:
            thread.join()
            os.close(writer)
    lines.close()
    assert [row["event"] for row in rows] == (["start"] if closed else ["start", "end"])
    assert code == (128 + signal.SIGPIPE if closed else 0)


_WITHOUT_TORCH = """
import sys
sys.modules.update(torch=None, torch_geometric=None)  # Importing them fails.
from pyg_stgcn.cli import main
for words in {commands}:
    main(words, standalone_mode=False)
"""


def test_pytorch_is_not_needed(model: Path, tmp_path: Path) -> None:
    """From poses to answers: in lines, in a file, and as clips."""
    lines, array = tmp_path / "poses.jsonl", tmp_path / "poses.npy"
    lines.write_text(sides((LEFT, 60), (RIGHT, 60)))
    np.save(array, np.repeat([pose(LEFT), pose(RIGHT)], 60, axis=0)[None])
    commands = [["watch", str(model), *WORDS, "--source", str(file)] for file in (lines, array)]
    commands.append(["predict", str(model), str(array), "--image-size", "100x100", "--json"])
    expected = [CliRunner().invoke(main, words).stdout for words in commands]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH.format(commands=commands)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(expected)
    assert all('"right"' in text for text in expected)
