from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import HMDB51, NTU60, SBU, UCF101, FineGYM99, FineGYM288, NTU60HRNet
from pyg_stgcn.datasets.annotations import AnnotationDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton

IN_2D = [HMDB51, UCF101, FineGYM99, FineGYM288]
SPLITS = {"train": ["a", "b"], "test": ["c"]}


def clip(name: str, label: int = 0, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(sum(name.encode()))
    return {
        "frame_dir": name,
        "label": label,
        "total_frames": 6,
        "img_shape": (240, 320),
        "original_shape": (240, 320),
        "keypoint": rng.uniform(1, 200, (1, 6, 17, 2)).astype(np.float16),
        "keypoint_score": rng.uniform(0.1, 1, (1, 6, 17)).astype(np.float16),
        **changes,
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 4))
    return path


def arrays_of(dataset: Any) -> list[np.ndarray]:
    """The arrays [M, T, V, C] that the items were made from."""
    return [
        data.x.view(data.num_persons, -1, *data.x.shape[1:]).transpose(1, 2).numpy()
        for data in dataset
    ]


def test_a_genuine_file_of_ucf101(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "data/pyskl/mini_ucf101.pkl"
    content = pickle.loads(source.read_bytes())
    train = UCF101(tmp_path, "1", "train", source=source)
    val = UCF101(tmp_path, "1", "val", source=source)
    assert train.names == content["split"]["train1"]
    assert val.names == content["split"]["test1"]
    assert train.num_classes == 101
    assert (train.skeleton, train.has_score) == (get_skeleton("coco17"), True)
    both = UCF101(tmp_path, split="all", source=source)
    for array, item in zip(arrays_of(both), content["annotations"], strict=True):
        assert both.classes[item["label"]] in item["frame_dir"]
        assert np.array_equal(array[..., :2], item["keypoint"])
        assert np.array_equal(array[..., 2], item["keypoint_score"])


@pytest.mark.parametrize(
    ("kind", "classes"),
    [(HMDB51, "hmdb51"), (UCF101, "ucf101"), (FineGYM99, "gym")],
)
def test_class_names_are_the_published_ones(
    shared_data: Path, tmp_path: Path, kind: type[AnnotationDataset], classes: str
) -> None:
    source = write(tmp_path / "a.pkl", {"annotations": [clip("a")]})
    published = (shared_data / f"data/facts/classes_{classes}.txt").read_text().splitlines()
    classes = kind(tmp_path, split="all", source=source).classes
    assert classes == [name.replace("_", " ") for name in published]


@pytest.mark.parametrize("kind", IN_2D)
@pytest.mark.parametrize("other", ["val", "validation", "test"])
def test_a_file_in_the_raw_folder(
    tmp_path: Path, kind: type[AnnotationDataset], other: str
) -> None:
    last = {HMDB51: 50, UCF101: 100, FineGYM99: 98, FineGYM288: 287}[kind]
    # The second version of Gym99 has further fields, of which one repeats the coordinates.
    more = {"kp_wo_gt": np.zeros((6, 17, 3)), "kp_w_gt": np.ones((6, 17, 3)), "box": [1, 2]}
    clips = [clip("a"), clip("b", last, **more), clip("c", 1)]
    content = {"split": {"train": ["a", "b"], other: ["c"]}, "annotations": clips}
    write(tmp_path / "raw" / kind.file_name, content)
    train, val = kind(tmp_path), kind(tmp_path, split="val")
    assert (train.names, val.names) == (["a", "b"], ["c"])
    assert train.benchmarks == ("default",)
    assert train.labels.tolist() == [0, last]
    assert len(train.classes) == last + 1
    expected = [np.concatenate([c["keypoint"], c["keypoint_score"][..., None]], -1) for c in clips]
    for array, whole in zip(arrays_of(train), expected, strict=False):
        assert np.array_equal(array, whole)
    assert train[0].image_size.tolist() == [[240, 320]]


@pytest.mark.parametrize("kind", IN_2D)
def test_wrong_contents(tmp_path: Path, kind: type[AnnotationDataset]) -> None:
    def message(**changes: Any) -> str:
        content = {"split": SPLITS, "annotations": [clip("a", **changes), clip("b"), clip("c")]}
        source = write(tmp_path / "a.pkl", content)
        with pytest.raises(InputError, match=rf"^{source}: ") as caught:
            kind(tmp_path, source=source)
        assert list(tmp_path.rglob("*.npy")) == []
        assert str(caught.value).count(str(source)) == 1
        return str(caught.value)

    assert "clip 'a' has label 288, but there are" in message(label=288)
    joints = np.ones((1, 6, 18, 2)), np.ones((1, 6, 18))
    assert "has 18 joints, the skeleton 'coco17' has 17; open a pickle by its path" in message(
        keypoint=joints[0], keypoint_score=joints[1]
    )
    flat = {"frame_dir": "a", "label": 0, "keypoint": np.ones((1, 4, 17, 3))}
    source = write(tmp_path / "3d.pkl", [flat])
    with pytest.raises(InputError, match=r"holds 3-D joints, .* has 2-D ones; open it by its path"):
        kind(tmp_path, split="all", source=source)


@pytest.mark.parametrize("kind", [*IN_2D, SBU, NTU60, NTU60HRNet])
def test_without_a_file_the_message_says_where_to_put_it(
    tmp_path: Path, kind: type[AnnotationDataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "url", kind.url and f"http://127.0.0.1:9/{kind.file_name}")
    with pytest.raises(InputError) as caught:
        kind(tmp_path)
    for part in (str(tmp_path / "raw" / kind.file_name), "--source", kind.page):
        assert part in str(caught.value)
    assert ("127.0.0.1" in str(caught.value)) == bool(kind.url)
    assert ("agreement" in str(caught.value)) == issubclass(kind, NTU60 | NTU60HRNet)
