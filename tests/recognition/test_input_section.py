"""The preprocessing in numbers says what the description says in names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.models import create_model
from pyg_stgcn.recognition import describe
from pyg_stgcn.recognition.input_section import input_section, input_statistics
from pyg_stgcn.skeletons import get_skeleton, list_skeletons


def about_of(skeleton: str, **options: Any) -> dict[str, Any]:
    steps = {"stream": "joint", "clip_frames": 12, "has_score": False, **options}
    return {"skeleton": get_skeleton(skeleton).to_dict(), "preprocessing": steps}


@pytest.mark.parametrize("name", list_skeletons())
def test_joints_are_numbers(name: str) -> None:
    about = about_of(name)
    skeleton, section = about["skeleton"], json.loads(json.dumps(input_section(about)))
    names = skeleton["joints"]
    pairs = zip(section["bones"][::2], section["bones"][1::2], strict=True)
    assert [[names[child], names[parent]] for child, parent in pairs] == [
        list(bone) for bone in skeleton["bones"]
    ]
    for key in ("spine", "shoulders"):
        assert [names[joint] for joint in section[key]] == list(skeleton.get(key) or ())
    assert names[section["root"]] == (skeleton.get("root") or skeleton["center"])
    assert section["trunk"][0] == section["root"]
    children = [child for child, parent in enumerate(section["parents"]) if child != parent]
    assert {names[child] for child in children} <= {
        child for child, _ in skeleton.get("bone_pairs") or skeleton["bones"]
    }


def test_options_left_out_have_their_defaults() -> None:
    section = input_section(about_of("ntu25"))
    assert section["persons"] == -1 and section["seed"] == 255 and section["align"]
    assert section["score_threshold"] == 0.01
    assert not (section["scale"] or section["planar"] or section["scored"] or section["fractions"])
    about = about_of("coco17", has_score=True, use_score=False, num_persons=2, align_spine=False)
    section = input_section(about)
    assert section["planar"] and not section["scored"] and not section["align"]
    assert section["persons"] == 2


def test_statistics_of_an_untrained_model_are_left_out() -> None:
    steps = {"stream": "bone+joint", "clip_frames": 8, "has_score": True}
    model = create_model("stgcn", 2, skeleton="coco17", base_channels=8, in_channels=6)
    about = describe(model, ["a", "b"], steps)
    assert input_statistics(about) is None
    assert input_section(about)["streams"] == ["bone", "joint"]
    about["statistics"] = {"mean": np.zeros((17, 6)).tolist(), "std": np.ones((17, 6)).tolist()}
    statistics = input_statistics(about)
    assert statistics is not None
    assert [values.shape for values in statistics] == [(17, 6), (17, 6)]
    assert all(values.dtype == np.float32 for values in statistics)
