"""Published weights as recognisers: by name, and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model, pyskl_state_dict
from pyg_stgcn.models.pyskl import model_zoo
from pyg_stgcn.recognition import Recognizer, published_recognizer, save

IMAGE = (480, 640)
FINGERS = ("index", "middle", "ring", "little")


def drawn_hand(*straight: str) -> NDArray[Any]:
    """Twelve frames of a right hand that points up, with some straight fingers, in pixels."""
    wrist = np.array([0.5, 0.75])
    hand = np.zeros((21, 2))
    hand[0] = wrist
    if "thumb" in straight:
        hand[1:5] = [(0.46, 0.70), (0.42, 0.65), (0.39, 0.61), (0.36, 0.57)]
    else:
        hand[1:5] = [(0.46, 0.70), (0.45, 0.64), (0.48, 0.61), (0.51, 0.60)]
    knuckles = [(0.46, 0.55), (0.50, 0.54), (0.54, 0.55), (0.58, 0.58)]
    for number, (name, knuckle) in enumerate(zip(FINGERS, np.array(knuckles), strict=True)):
        along = (knuckle - wrist) / np.linalg.norm(knuckle - wrist)
        lengths, down = (0.06, 0.12, 0.18), (0, 0, 0)
        if name not in straight:
            lengths, down = (0.05, 0.01, -0.02), (0, 0.02, 0.02)
        joints = [knuckle + along * length for length in (0, *lengths)]
        hand[5 + 4 * number : 9 + 4 * number] = joints
        hand[6 + 4 * number : 9 + 4 * number, 1] += down
    clip = np.repeat(hand[None, None] * (IMAGE[1], IMAGE[0]), 12, axis=1)
    return clip + np.random.default_rng(0).normal(0, 1, clip.shape)


@pytest.fixture(scope="module")
def hagrid(shared_data: Path) -> Path:
    return shared_data / "golden" / "published" / "hagrid.pth"


@pytest.fixture(scope="module")
def gestures(hagrid: Path) -> Recognizer:
    """PYSKL's recogniser of gestures; the file is known by its contents."""
    return published_recognizer(hagrid)


@pytest.mark.parametrize(
    ("straight", "gesture"),
    [
        ("", "Fist"),
        ("index", "One"),
        ("index middle", "Peace"),
        ("index little", "Rock"),
        ("index middle ring little", "Four"),
        ("thumb index middle ring little", "Palm"),
    ],
)
def test_drawn_hands_are_recognised(gestures: Recognizer, straight: str, gesture: str) -> None:
    hand = drawn_hand(*straight.split())
    found = gestures.predict(hand, image_size=IMAGE)
    assert found.label == gesture
    assert found.probability > 0.7
    # Scores do not count, and neither does the unit.
    scored = np.concatenate([hand, np.full((1, 12, 21, 1), 0.4)], axis=-1)
    in_fractions = hand / (IMAGE[1], IMAGE[0])
    for clip, size in ((scored, IMAGE), (in_fractions, (1, 1))):
        other = gestures.predict(clip, image_size=size)
        np.testing.assert_allclose(other.probabilities, found.probabilities, atol=1e-5)


@torch.no_grad()
def test_probabilities_are_those_of_the_network(gestures: Recognizer, hagrid: Path) -> None:
    """Ten frames are all sampled, in their order."""
    hand = drawn_hand("index")[:, :10]
    fractions = torch.from_numpy(hand / (IMAGE[1], IMAGE[0])).float()
    model = create_model("stgcnpp", pretrained=hagrid).eval()
    expected = model(fractions[0].transpose(0, 1).contiguous()).softmax(dim=-1)[0]
    found = gestures.predict(hand, image_size=IMAGE).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_models_without_scores_can_be_exported(tmp_path: Path) -> None:
    options = {"in_channels": 2, "base_channels": 4, "num_stages": 2}
    model = create_model("stgcnpp", 3, "hand21", **options).eval()
    steps = {"stream": "joint", "clip_frames": 10, "has_score": True, "num_persons": 1}
    steps |= {"use_score": False, "fractions": True}
    file, classes = tmp_path / "gestures.safetensors", ["one", "two", "three"]
    options = [{"name": "stgcnpp", **options}]
    save(file, model, options=options, classes=classes, preprocessing=steps)
    recognizers = Recognizer.load(file), Recognizer.from_model(model, classes, steps)
    assert recognizers[0].about == recognizers[1].about
    hand = drawn_hand("index", "middle")
    found = [one.predict(hand, image_size=IMAGE).probabilities for one in recognizers]
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file in the form of PYSKL of which nothing is known."""
    model = create_model("stgcn", 3, "coco17", base_channels=4, num_stages=2)
    torch.save(pyskl_state_dict(model), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_weights_of_unknown_origin(
    weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = published_recognizer(weights)
    assert found.classes == ["0", "1", "2"]
    assert found.skeleton.name == "coco17"
    assert "taken as usual: stream='joint', clip_frames=100, has_score=True" in caplog.text
    caplog.clear()
    (tmp_path / "classes.txt").write_text("sit\nstand up\n\nwave\n", encoding="utf-8")
    usual = {"stream": "bone", "clip_frames": 30, "has_score": True, "num_persons": None}
    found = published_recognizer(
        weights, model="stgcn", classes=tmp_path / "classes.txt", skeleton="coco17", **usual
    )
    assert found.classes == ["sit", "stand up", "wave"]
    assert not caplog.records
    assert usual.items() <= found.about["preprocessing"].items()
    clip = np.random.default_rng(0).uniform(50, 400, (2, 20, 17, 2))
    assert found.predict(clip, image_size=IMAGE).label in found.classes


def test_options_that_do_not_fit(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of stgcn with 3 classes, 17 joints.*not of ctrgcn"):
        published_recognizer(weights, model="ctrgcn")
    with pytest.raises(InputError, match=r"classes ntu60: names 60 classes, .* have 3"):
        published_recognizer(weights, classes="ntu60")
    with pytest.raises(InputError, match=r"skeleton|joints|instead of"):
        published_recognizer(weights, skeleton="ntu25")
    with pytest.raises(InputError, match=r"stream 'joint\+bone' has 6 channels|reads 3 channels"):
        published_recognizer(weights, stream="joint+bone")
    with pytest.raises(InputError, match=r"init .*nowhere\.pth: there is no such file"):
        published_recognizer(tmp_path / "nowhere.pth")
    headless = {
        name: value
        for name, value in torch.load(weights, weights_only=True).items()
        if "cls_head" not in name
    }
    torch.save(headless, tmp_path / "headless.pth")
    with pytest.raises(InputError, match=r"headless\.pth: has no classifier"):
        published_recognizer(tmp_path / "headless.pth")


@pytest.mark.parametrize(
    ("name", "skeleton", "last", "steps"),
    [
        (
            "stgcnpp/ntu60_xsub_3dkp/bm",
            "ntu25",
            "walking apart from each other",
            {"stream": "bone-motion"},
        ),
        ("strong_aug/ntu120_xset_3dkp/j", "ntu25", None, {"align_spine": None}),
        (
            "aagcn/ntu60_xview_hrnet/b",
            "coco17",
            "walking apart from each other",
            {"has_score": True},
        ),
        (
            "dgstgcn/ntu60_xsub_3dkp/j",
            "ntu25",
            "walking apart from each other",
            {"align_spine": False},
        ),
    ],
)
def test_names_come_with_classes_and_preprocessing(
    file_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    skeleton: str,
    last: str | None,
    steps: dict[str, Any],
) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_zoo, "SERVER", file_server.url)
    model_zoo.published_models.cache_clear()
    entry = model_zoo.find_published(f"pyskl:{name}")
    model = create_model(entry.model, entry.num_classes, skeleton, base_channels=8)
    torch.save({"state_dict": pyskl_state_dict(model)}, tmp_path / "j.pth")
    file_server.content = (tmp_path / "j.pth").read_bytes()
    found = published_recognizer(f"pyskl:{name}")
    model_zoo.published_models.cache_clear()
    assert found.skeleton.name == skeleton
    assert len(found.classes) == entry.num_classes
    assert found.classes[0] == "drink water"
    assert last is None or found.classes[-1] == last
    usual = {"clip_frames": 100, "num_persons": 2, "scale": False}
    assert {**usual, **steps}.items() <= found.about["preprocessing"].items()
