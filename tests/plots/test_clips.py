from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import Tensor
from torch_geometric.data import Data

from pyg_stgcn import Skeleton
from pyg_stgcn.datasets.synthetic.synthetic_actions import generate_clip
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.clip_scene import EDGE_COLOR, NUM_EDGES, SIDE_COLORS
from pyg_stgcn.plots.clips import MAX_FRAMES, draw_clip
from pyg_stgcn.skeletons import get_skeleton

BODY = Skeleton(
    "body",
    ("hip", "chest", "left_hand", "right_hand"),
    ((1, 0), (2, 1), (3, 1)),
    center=1,
    pairs=((2, 3),),
    spine=(0, 1),
)
# Someone who faces the camera, whose x is to its left: y up, z away.
POSE = np.array([[0.0, 0.0, 3.0], [0.0, 0.6, 3.0], [-0.5, 0.9, 3.0], [0.5, 0.1, 3.0]])
LEFT, RIGHT = SIDE_COLORS["left"], SIDE_COLORS["right"]


def clip_of(joints: NDArray[np.float64]) -> Data:
    """A clip of joints [M, T, V, C]."""
    x = torch.from_numpy(joints).float().transpose(1, 2).flatten(0, 1)
    return Data(x=x, num_persons=len(joints), name="wave")


def waving(frames: int = 6, persons: int = 1) -> NDArray[np.float64]:
    joints = np.tile(POSE, (persons, frames, 1, 1))
    joints[:, :, 2, 1] += 0.3 * np.sin(np.arange(frames))
    joints[..., 0] += 1.5 * np.arange(persons)[:, None, None]
    return joints


def in_pixels(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same as 2-D joints with scores."""
    scores = np.full((*joints.shape[:-1], 1), 0.9)
    return np.concatenate([320 - 100 * joints[..., :1], 240 - 100 * joints[..., 1:2], scores], -1)


def places(figure: Path | Image.Image, color: str) -> NDArray[np.int64]:
    """Rows and columns of the pixels of a colour above the legend [N, 2]."""
    image = figure if isinstance(figure, Image.Image) else Image.open(figure)
    pixels = np.asarray(image.convert("RGB")).astype(int)
    pixels = pixels[: int(0.86 * len(pixels))]
    wanted = np.round(255 * np.array(to_rgb(color)))
    return np.argwhere(np.abs(pixels - wanted).max(axis=-1) <= 8)


def draw(path: Path, joints: NDArray[np.float64], **options: Any) -> Path:
    draw_clip(path, clip_of(joints), BODY, **{"has_score": False, **options})
    return path


def test_an_animation_has_the_frames_of_the_clip(tmp_path: Path) -> None:
    draw(tmp_path / "clip.gif", waving(7), fps=10, title="no formula: $a_{$b$")
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 7
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
        assert image.info["duration"] == 100
    assert len({frame.size for frame in frames}) == 1
    assert len({frame.tobytes() for frame in frames}) == 7
    hands = [places(frame, LEFT)[:, 0].min() for frame in frames]
    heights = waving(7)[0, :, 2, 1]
    assert (np.argsort(hands) == np.argsort(-heights)).all()


def test_of_a_long_clip_so_many_frames_are_drawn_evenly(tmp_path: Path) -> None:
    draw(tmp_path / "clip.gif", waving(3 * MAX_FRAMES))
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == MAX_FRAMES


def test_sides_are_where_the_camera_saw_them(tmp_path: Path) -> None:
    for name, joints, has_score in (
        ("space", waving(), False),
        ("plane", in_pixels(waving()), True),
    ):
        path = draw(tmp_path / f"{name}.png", joints[:, :1], has_score=has_score)
        left, right = places(path, LEFT), places(path, RIGHT)
        assert len(left) > 20 and len(right) > 20
        # The left hand of who faces the camera is on the right of the figure, here the higher one.
        assert left[:, 1].min() >= right[:, 1].max() - 8
        assert left[:, 0].mean() < right[:, 0].mean()


def test_a_clip_whose_y_is_down_is_turned(tmp_path: Path) -> None:
    up = draw(tmp_path / "up.png", waving())
    down = draw(tmp_path / "down.png", waving() * (-1, -1, 1))
    assert up.read_bytes() == down.read_bytes()


def test_a_clip_with_another_axis_up_is_turned(tmp_path: Path) -> None:
    # Without a spine, as the joints of MediaPipe: the names of the joints tell.
    skeleton = Skeleton("named", ("ankle", "nose", "left_hand", "right_hand"), BODY.bones, center=1)
    clip = waving()
    turned = {
        "y": clip,
        "y_down": clip * (-1, -1, 1),
        "z": np.stack([clip[..., 0], -clip[..., 2], clip[..., 1]], axis=-1),
        "z_down": np.stack([clip[..., 0], clip[..., 2], -clip[..., 1]], axis=-1),
    }
    for name, joints in turned.items():
        draw_clip(tmp_path / f"{name}.png", clip_of(joints), skeleton, has_score=False)
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in turned}) == 1


def test_titles_are_plain_text_that_fits(tmp_path: Path) -> None:
    narrow = in_pixels(waving(500))
    narrow[..., 0] = 300 + 0.01 * narrow[..., 0]
    # Matplotlib takes dollar signs for formulas as soon as it breaks a line.
    draw(tmp_path / "clip.png", narrow, has_score=True, title="costs $$ ^{ " * 30)
    draw(tmp_path / "clip.gif", narrow[:, :2], has_score=True, title="costs $$ ^{ " * 30)
    draw(tmp_path / "clip.png", narrow, has_score=True)
    with Image.open(tmp_path / "clip.png") as image:
        pixels = np.asarray(image.convert("L")) < 128
    # Without a title of the whole, the first rows are those over the poses, which stand apart.
    first = int(np.flatnonzero(pixels.any(axis=1))[0])
    columns = np.flatnonzero(pixels[first : first + 10].any(axis=0))
    assert (np.diff(columns) > 12).sum() == 7


def test_depth_is_seen(tmp_path: Path) -> None:
    flat, deep = waving(1), waving(1)
    deep[..., 2, 2] += 0.5
    figures = draw(tmp_path / "flat.png", flat), draw(tmp_path / "deep.png", deep)
    assert figures[0].read_bytes() != figures[1].read_bytes()


@pytest.mark.parametrize("has_score", [False, True], ids=["space", "plane"])
def test_missing_joints_and_their_bones_are_not_drawn(tmp_path: Path, has_score: bool) -> None:
    joints = in_pixels(waving()) if has_score else waving()
    whole = draw(tmp_path / "whole.png", joints, has_score=has_score)
    joints[:, :, 2, : 2 if has_score else 3] = 0
    part = draw(tmp_path / "part.png", joints, has_score=has_score)
    assert len(places(whole, LEFT)) > 20 and len(places(part, LEFT)) == 0
    assert len(places(part, RIGHT)) > 20
    # A figure that reached to the origin would show the rest of the body smaller.
    size = [np.ptp(places(figure, RIGHT)[:, 0]) for figure in (whole, part)]
    assert size[1] >= size[0]


def test_the_clip_says_which_joints_are_missing(tmp_path: Path) -> None:
    """A root at the origin is drawn, and a joint that is not certain is not."""
    joints = waving()
    joints -= joints[:, :, 1:2]
    clip = clip_of(joints)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    draw_clip(paths[0], clip, BODY, has_score=False)
    clip.present = torch.ones(clip.x.shape[:2], dtype=torch.bool)
    draw_clip(paths[1], clip, BODY, has_score=False)
    clip.present[2] = False
    draw_clip(paths[2], clip, BODY, has_score=False)
    bones = [len(places(path, RIGHT)) for path in paths]
    assert bones[1] > 1.5 * bones[0], "the bones of the root"
    assert len(places(paths[1], LEFT)) > 20 and len(places(paths[2], LEFT)) == 0


def test_a_missing_person_is_not_drawn(tmp_path: Path) -> None:
    joints = waving(4, persons=2)
    joints[1, :2] = 0
    draw(tmp_path / "clip.gif", joints)
    with Image.open(tmp_path / "clip.gif") as image:
        drawn = [len(places(frame, LEFT)) for frame in ImageSequence.Iterator(image)]
    assert drawn[2] > 1.5 * drawn[1] > 0 and drawn[3] > 1.5 * drawn[0] > 0


def graph(**weights: float) -> Tensor:
    """A graph of the body from names such as ``hip_chest``, by the joints' first words."""
    short = {name.split("_")[0]: joint for joint, name in enumerate(BODY.joints)}
    matrix = torch.zeros(4, 4)
    for pair, weight in weights.items():
        source, target = pair.split("_")
        matrix[short[source], short[target]] = weight
    return matrix


def test_lines_are_as_wide_as_the_edges_of_the_graph(tmp_path: Path) -> None:
    def pixels(color: str, **weights: float) -> int:
        path = draw(tmp_path / "clip.png", waving(1), edge_weight=graph(**weights))
        return len(places(path, color))

    bones = {"hip_chest": 1.0, "chest_left": 1.0, "chest_right": 1.0}
    thick = pixels(LEFT, **bones)
    assert thick > 1.5 * pixels(LEFT, **{**bones, "chest_left": 0.2})
    # Weights count by size, in either direction.
    assert thick == pixels(LEFT, hip_chest=1, left_chest=-1, chest_right=1)
    assert pixels(EDGE_COLOR, **bones) == 0
    weak = pixels(EDGE_COLOR, **bones, left_right=0.3)
    assert pixels(EDGE_COLOR, **bones, left_right=0.9) > 1.5 * weak > 0


def test_only_the_strongest_other_edges_are_drawn(tmp_path: Path) -> None:
    skeleton = Skeleton("ring", tuple("abcdefgh"), tuple((v, v - 1) for v in range(1, 8)), center=0)
    angle = np.linspace(0, 6, 8)
    joints = np.stack([np.cos(angle), np.sin(angle), 0 * angle + 2], axis=1)[None, None]
    sources, targets = torch.triu_indices(8, 8, offset=2)
    strengths = torch.linspace(1, 0.5, len(sources))
    assert len(sources) > NUM_EDGES

    def figure(kept: int) -> bytes:
        weight = torch.zeros(8, 8).index_put((sources[:kept], targets[:kept]), strengths[:kept])
        path = tmp_path / "clip.png"
        draw_clip(path, clip_of(joints), skeleton, has_score=False, edge_weight=weight)
        return path.read_bytes()

    assert figure(NUM_EDGES) == figure(len(sources)) != figure(NUM_EDGES - 1)


def test_a_synthetic_clip_of_two_persons(tmp_path: Path) -> None:
    joints = generate_clip(0, 1, 3, 14, 0).astype(float)
    assert len(joints) == 2
    draw_clip(tmp_path / "clip.png", clip_of(joints), get_skeleton("ntu25"), has_score=False)
    assert all(len(places(tmp_path / "clip.png", color)) > 500 for color in SIDE_COLORS.values())


def test_what_cannot_be_drawn_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.gif").mkdir()
    for name, joints, options, message in (
        ("folder.gif", waving(), {}, r"folder\.gif: is a folder"),
        ("nowhere/clip.png", waving(), {}, "there is no folder .*nowhere"),
        ("clip.mp4", waving(), {}, r"clip\.mp4: .*\.png or \.gif"),
        ("clip.png", 0 * waving(), {}, "wave: no joint is present"),
        ("clip.png", waving()[:, :, :3], {}, "wave: 3 joints a person do not fit skeleton 'body'"),
        ("clip.png", waving(), {"edge_weight": torch.ones(3, 3)}, r"edge_weight: \(3, 3\)"),
    ):
        with pytest.raises(InputError, match=message):
            draw(tmp_path / name, joints, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.gif"]
    assert not any((tmp_path / "folder.gif").iterdir())
