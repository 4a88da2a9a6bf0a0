"""Answers to a stream against the network on every beginning of the sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyg_stgcn.evaluation import stream_answers
from pyg_stgcn.evaluation.stream_answers import answer_frames
from pyg_stgcn.models import Assembly, Backbone, create_model
from pyg_stgcn.models.temporal_reach import temporal_reach

OPTIONS = {"base_channels": 4, "num_stages": 2, "down_stages": [2]}


def make(name: str) -> Backbone:
    model = create_model(name, 3, "coco17", **OPTIONS).double().eval()
    assert isinstance(model, Backbone)
    return model


def by_definition(model: Backbone, x: torch.Tensor, window: int, frame: int) -> torch.Tensor | None:
    """The answer after a frame: features that two different futures leave alike, pooled."""
    past, length = x[:, : frame + 1], temporal_reach(model).after + 40
    one, other = (
        model.forward_features(torch.cat([past, torch.randn(17, length, 3).double()], 1))[0]
        for _ in range(2)
    )
    equal = (one == other).flatten(1).all(dim=1)
    count = int(equal.logical_not().nonzero()[0])
    if count == 0:
        return None
    most = -(-window // temporal_reach(model).stride)
    last = one[max(0, count - most) : count]
    return last.mean(dim=(0, 1))


@pytest.mark.parametrize("behind", [0, 1])
def test_answers_are_those_of_the_definition(behind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_answers, "_MAPS", 5)  # Parts of a recording, joined.
    model, x, window = make("stgcn"), torch.randn(17, 61, 3).double(), 11
    found = answer_frames(model, x, window, behind=behind, temperature=2.0)
    for frame in range(0, 61, 3):
        features = by_definition(model, x, window, frame - behind) if frame >= behind else None
        if features is None:
            assert found.about[frame] == -1 and np.isnan(found.probabilities[frame]).all()
            assert found.live[frame] == -1
            continue
        expected = (model.head(features) / 2).softmax(dim=-1)
        assert found.probabilities[frame] == pytest.approx(expected.detach().numpy(), abs=1e-6)
    new = np.flatnonzero(found.is_new)
    assert (np.diff(new) == 2).all() and found.about[new[0] - 1] == -1
    lags = (np.arange(61) - found.about)[found.about >= 0]
    assert lags.max() <= found.lag + 1


@pytest.mark.parametrize("frames", [8, 27, 61])  # Fewer than the network reaches, and more.
def test_the_final_answer_of_a_large_window_is_that_to_the_clip(frames: int) -> None:
    model, x = make("stgcn"), torch.randn(17, frames, 3).double()
    found = answer_frames(model, x, 64, temperature=2.0)
    expected = (model(x)[0] / 2).softmax(dim=-1).detach().numpy()
    assert found.final == pytest.approx(expected, abs=1e-6)
    assert found.final_about == frames - 1 - frames // 2
    assert found.settled[-1] == expected.argmax()
    adaptive = create_model("ctrgcn", 3, "coco17", base_channels=8, num_stages=2).eval()
    found = answer_frames(adaptive, x.float(), 12)
    expected = adaptive(x.float()[:, -12:]).softmax(dim=-1)[0].detach().numpy()
    assert found.final == pytest.approx(expected, abs=1e-5)


def test_experts_answer_together() -> None:
    experts = [make("stgcn"), make("stgcnpp")]
    model, x = Assembly(experts).double().eval(), torch.randn(17, 50, 3).double()
    found = answer_frames(model, x, 8)
    features = [by_definition(expert, x, 8, 45) for expert in experts]
    expected = model.head((features[0] + features[1]) / 2).softmax(dim=-1)
    assert found.probabilities[45] == pytest.approx(expected.detach().numpy(), abs=1e-6)
    expected = model(x)[0].softmax(dim=-1).detach().numpy()
    assert answer_frames(model, x, 64).final == pytest.approx(expected, abs=1e-6)


def test_networks_of_whole_clips_see_windows() -> None:
    model = create_model("ctrgcn", 3, "coco17", base_channels=8, num_stages=2).eval()
    x = torch.randn(17, 30, 3)
    found = answer_frames(model, x, 12)
    assert (found.about[:11] == -1).all()
    for frame, end in ((11, 12), (14, 12), (15, 16), (29, 28)):
        expected = model(x[:, end - 12 : end]).softmax(dim=-1)[0]
        assert found.probabilities[frame] == pytest.approx(expected.detach().numpy(), abs=1e-5)


def test_the_settled_answer_is_the_one_about_the_frame() -> None:
    found = stream_answers.StreamAnswers(
        np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]], np.array([-1, -1, 0, 1, 3]), None, 2
    )
    assert found.live.tolist() == [-1, -1, 1, 1, 2]
    assert found.settled.tolist() == [1, 1, 2, 2, -1]
