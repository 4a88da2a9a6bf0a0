from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton, get_skeleton

META = {
    "classes": ["sit", "stand", "jump"],
    "joints": ["head", "neck", "hip"],
    "edges": [(0, 1), (1, 2)],
    "center": 1,
}


def keypoint_of(data: Any) -> np.ndarray:
    """The array [M, T, V, C] that an item was made from."""
    return data.x.view(data.num_persons, -1, *data.x.shape[1:]).transpose(1, 2).numpy()


def two_dimensional(name: str, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "frame_dir": name,
        "label": 0,
        "keypoint": rng.uniform(1, 200, (2, 5, 17, 2)).astype(np.float16),
        "keypoint_score": rng.uniform(0, 1, (2, 5, 17)).astype(np.float16),
        "img_shape": (240, 320),
        **changes,
    }


@pytest.mark.parametrize(
    ("file", "clips", "classes", "joints", "benchmarks", "sizes"),
    [
        ("utd_mhad/utd_mhad_reference", 861, 27, 20, ("xsub",), (431, 430)),
        ("sbu/sbu", 282, 8, 15, tuple(f"fold{i}" for i in range(1, 6)), (227, 55)),
        ("pyskl/mini_ucf101", 6, 1, 17, ("1",), (3, 3)),
    ],
)
def test_genuine_files(
    shared_data: Path, tmp_path: Path, file: str, clips: int, classes: int, joints: int,
    benchmarks: tuple[str, ...], sizes: tuple[int, int],
) -> None:  # fmt: skip
    path = shared_data / "data" / f"{file}.pkl"
    dataset = SkeletonPickle(path, root=tmp_path, split="all")
    assert (len(dataset), dataset.num_classes) == (clips, classes)
    assert dataset.skeleton.num_joints == joints
    assert dataset.benchmarks == benchmarks
    assert len(SkeletonPickle(path, root=tmp_path)) == sizes[0]
    assert len(SkeletonPickle(path, root=tmp_path, split="val")) == sizes[1]
    content = pickle.loads(path.read_bytes())
    assert dataset.classes == content.get("meta", {}).get("classes", ["0"])
    for data, expected in zip(dataset, content["annotations"], strict=True):
        keypoint = keypoint_of(data)
        assert (data.name, int(data.y)) == (expected["frame_dir"], expected["label"])
        width = expected["keypoint"].shape[-1]
        assert np.array_equal(keypoint[..., :width], expected["keypoint"])
        if "keypoint_score" in expected:
            assert np.array_equal(keypoint[..., 2], expected["keypoint_score"])
            assert data.image_size.tolist() == [list(expected["img_shape"])]


def test_every_benchmark_has_its_own_clips(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "data/sbu/sbu.pkl"
    splits = pickle.loads(path.read_bytes())["split"]
    for fold in ("fold2", "fold5"):
        for split in ("train", "val"):
            dataset = SkeletonPickle(path, root=tmp_path, benchmark=fold, split=split)
            assert dataset.names == splits[f"{fold}_{split}"]


def test_an_index_without_coordinates_is_refused(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "data/pyskl/k400_entries_sample.pkl"
    with pytest.raises(
        InputError, match=r"k400_entries_sample.pkl: clip .* has no keypoint: .*index"
    ):
        SkeletonPickle(path, root=tmp_path)


def test_the_own_skeleton_of_a_file_is_the_built_in_one_where_they_agree(
    shared_data: Path, tmp_path: Path
) -> None:
    dataset = SkeletonPickle(shared_data / "data/sbu/sbu.pkl", root=tmp_path)
    assert dataset.skeleton == get_skeleton("sbu15")


@pytest.mark.parametrize(
    ("splits", "benchmarks"),
    [
        ({"xsub_train": "a", "xsub_val": "b", "xview_train": "b", "xview_val": "a"}, "xsub xview"),
        ({"x_train": "a", "x_test": "b"}, "x"),
        ({"my_set_train": "a", "my_set_validation": "b"}, "my_set"),
        ({"train": "a", "test": "b"}, "default"),
        ({"train": "a", "val": "b", "test": "a"}, "default"),
        ({"train1": "a", "test1": "b", "train2": "b", "test2": "a"}, "1 2"),
        ({"a_train1": "a", "a_val1": "b"}, "a_1"),
    ],
)
def test_names_of_splits(
    make_pickle: Callable[..., Path], splits: dict[str, str], benchmarks: str
) -> None:
    path = make_pickle(split={name: list(clips) for name, clips in splits.items()})
    names = tuple(benchmarks.split())
    assert SkeletonPickle(path).benchmarks == names
    for name in names:
        train = SkeletonPickle(path, benchmark=name)
        val = SkeletonPickle(path, benchmark=name, split="val")
        assert {*train.names, *val.names} == {"a", "b"}
    assert SkeletonPickle(path, split="all").names == ["a", "b", "c", "d"]


def test_a_list_has_no_training_clips(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., dict[str, Any]]
) -> None:
    path = make_pickle([make_annotation("a")])
    assert SkeletonPickle(path, split="all").benchmarks == ()
    with pytest.raises(InputError, match=r"data.pkl: no division into training .*split='all'"):
        SkeletonPickle(path)


def test_a_missing_half_of_a_benchmark(make_pickle: Callable[..., Path]) -> None:
    path = make_pickle(split={"train": ["a"]})
    assert SkeletonPickle(path).names == ["a"]
    with pytest.raises(InputError, match=r"benchmark 'default' has no val clips"):
        SkeletonPickle(path, split="val")


def test_an_unknown_benchmark_lists_the_known(make_pickle: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"benchmark 'xset' does not exist .* has: xsub"):
        SkeletonPickle(make_pickle(), benchmark="xset")


def test_scores_and_image_size(make_pickle: Callable[..., Path]) -> None:
    annotation = two_dimensional("a")
    dataset = SkeletonPickle(make_pickle([annotation]), split="all")
    assert (dataset.num_channels, dataset.has_score, dataset.skeleton.name) == (3, True, "coco17")
    expected = np.concatenate([annotation["keypoint"], annotation["keypoint_score"][..., None]], -1)
    assert np.array_equal(keypoint_of(dataset[0]), expected.astype(np.float32))
    assert dataset[0].image_size.tolist() == [[240, 320]]


def test_without_scores_a_joint_at_the_corner_is_missing(make_pickle: Callable[..., Path]) -> None:
    annotation = two_dimensional("a")
    del annotation["keypoint_score"]
    annotation["keypoint"][1, 2, 3] = 0
    data = SkeletonPickle(make_pickle([annotation]), split="all")[0]
    score = np.ones((2, 5, 17))
    score[1, 2, 3] = 0
    assert np.array_equal(keypoint_of(data)[..., 2], score)


def test_persons_that_are_never_there_are_dropped(make_pickle: Callable[..., Path]) -> None:
    annotation = two_dimensional("a")
    annotation["keypoint"][0] = 0
    data = SkeletonPickle(make_pickle([annotation]), split="all")[0]
    assert data.num_persons == 1
    assert data.x.shape == (17, 5, 3)
    assert np.array_equal(keypoint_of(data)[0, ..., :2], annotation["keypoint"][1])


@pytest.mark.parametrize(("dtypes", "kept"), [("ee", "<f2"), ("ef", "<f4"), ("dd", "<f4")])
def test_precision_is_kept_up_to_single(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any], dtypes: str, kept: str
) -> None:
    annotations = [make_annotation("a"), make_annotation("b")]
    for annotation, dtype in zip(annotations, dtypes, strict=True):
        annotation["keypoint"] = (annotation["keypoint"] / 3).astype(dtype)
    path = make_pickle(annotations)
    dataset = SkeletonPickle(path, split="all")
    assert np.load(Path(dataset.processed_dir) / "data/keypoint.npy").dtype == kept
    for data, annotation in zip(dataset, annotations, strict=True):
        assert data.x.dtype == torch.float32
        assert np.array_equal(keypoint_of(data), annotation["keypoint"].astype(np.float32))


def test_skeleton_from_the_file_from_an_argument_and_guessed(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    own = [make_annotation("a", shape=(1, 4, 3, 3))]
    path = make_pickle({"annotations": own, "meta": META})
    dataset = SkeletonPickle(path, split="all")
    assert dataset.skeleton.joints == ("head", "neck", "hip")
    assert dataset.skeleton.bones == ((0, 1), (1, 2))
    assert (dataset.skeleton.center, dataset.classes) == (1, META["classes"])

    other = Skeleton("other", ("a", "b", "c"), ((0, 1), (2, 1)), center=1)
    other.to_json(tmp_path / "other.json")
    for given in (other, tmp_path / "other.json", str(tmp_path / "other.json")):
        assert SkeletonPickle(path, split="all", skeleton=given).skeleton == other
    assert SkeletonPickle(path, split="all").skeleton.name == "data"

    with caplog.at_level(logging.INFO):
        guessed = SkeletonPickle(make_pickle([make_annotation("a")], "ntu.pkl"), split="all")
    assert guessed.skeleton == get_skeleton("ntu25")
    assert "taken to be ntu25" in caplog.text


@pytest.mark.parametrize("channels", [2, 3])
def test_an_ambiguous_number_of_joints_is_not_guessed(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any], channels: int
) -> None:
    joints = {2: 25, 3: 17}[channels]
    annotation = make_annotation("a", shape=(1, 4, joints, channels))
    if channels == 2:
        annotation["img_shape"] = (4, 4)
    path = make_pickle([annotation])
    kind = {2: r"2-D \(with img_shape", 3: r"3-D \(without img_shape"}[channels]
    message = rf"data.pkl: no skeleton .*{joints} joints in {kind}.*--skeleton"
    with pytest.raises(InputError, match=message):
        SkeletonPickle(path, split="all")


def _harm(**changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda annotations: annotations[1].update(changes)


def _remove(key: str) -> Callable[[list[dict[str, Any]]], None]:
    return lambda annotations: annotations[1].pop(key)


def _set_nan(annotations: list[dict[str, Any]]) -> None:
    annotations[1]["keypoint"][0, 4:, 7] = np.nan


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_harm(frame_dir="a"), r"clip name 'a' occurs twice"),
        (_remove("frame_dir"), r"annotation 1 has neither frame_dir nor filename"),
        (_harm(frame_dir=[["x"] * 9] * 9), r"name of annotation 1 is .* not a text"),
        (_harm(label=-2), r"clip 'b' has label -2; .* or -1 for a clip without one"),
        (_harm(label=10**9), r"clip 'b' has label 1000000000"),
        (_harm(label=10**5000), r"4300 digits"),
        (_harm(label="1"), r"clip 'b' has label '1', which is no integer; number the classes"),
        (_harm(label=1.0), r"clip 'b' has label 1.0, which is no integer"),
        (_harm(label=[0, 2]), r"clip 'b' has label \[0, 2\]: several labels .* are not supported"),
        (_harm(label=np.array([0, 1, 1])), r"clip 'b' has label \[0, 1, 1\]: several labels"),
        (_harm(label=True), r"clip 'b' has label True, which is no integer"),
        (_remove("keypoint"), r"clip 'b' has no keypoint, only .*'label'"),
        (_harm(keypoint=np.ones((4, 25, 3))), r"clip 'b' has keypoint of shape \(4, 25, 3\)"),
        (_harm(keypoint=[1, 2]), r"clip 'b' has a list as keypoint"),
        (_harm(keypoint=np.full((1, 6, 25, 3), "a")), r"clip 'b' .*type <U1"),
        (
            _harm(keypoint=np.ones((1, 6, 20, 3))),
            r"'b' has 20 joints, .*'ntu25' has 25.*--skeleton",
        ),
        (_harm(keypoint=np.ones((1, 6, 25, 5))), r"clip 'b' has 5 channels"),
        (_harm(keypoint=np.ones((1, 6, 25, 2))), r"clip 'b' has 2 channels"),
        (_harm(keypoint=np.ones((1, 5, 25, 3))), r"'b' says that it has 6 frames, .* has 5"),
        (
            _harm(keypoint=np.ones((6, 1, 25, 3))),
            r"'b' says that it has 6 frames, .*\(6, 1, 25, 3\), has 1; its axes seem to be "
            r"\[frames, persons, joints, channels\]: .* array.transpose\(1, 0, 2, 3\)",
        ),
        (_harm(total_frames=[6]), r"'b' says that it has \[6\] frames"),
        (_harm(keypoint=np.ones((1, 0, 25, 3)), total_frames=0), r"'b' is empty: 1 persons, 0 fr"),
        (_harm(keypoint=np.zeros((2, 6, 25, 3))), r"clip 'b' is empty"),
        (_set_nan, r"'b' has 2 joints that are NaN .* frame 4, joint 7, person 0"),
    ],
)
def test_a_wrong_annotation_is_one_clear_error(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any], harm: Any, message: str
) -> None:
    annotations = [make_annotation(name) for name in "abc"]
    harm(annotations)
    path = make_pickle(annotations)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
        SkeletonPickle(path, split="all", strict=True)
    assert str(caught.value).count(str(path)) == 1
    assert len(str(caught.value)) < 400
    left = [entry.name for entry in (path.parent / ".pyg_stgcn/data.pkl/processed").iterdir()]
    assert left in ([], ["data.lock"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoint_score": np.ones((2, 5, 16))}, r"keypoint_score of shape \(2, 5, 16\)"),
        ({"keypoint_score": 1.0}, r"keypoint_score of shape None"),
        ({"img_shape": (240,)}, r"img_shape \(240,\)"),
        ({"img_shape": (0, 320)}, r"img_shape \(0, 320\)"),
        ({"img_shape": "hd"}, r"img_shape 'hd'"),
    ],
)
def test_wrong_2d_annotations(
    make_pickle: Callable[..., Path], changes: dict[str, Any], message: str
) -> None:
    path = make_pickle([two_dimensional("a", **changes)])
    with pytest.raises(InputError, match=rf"^{path}: clip 'a' has {message}"):
        SkeletonPickle(path, split="all")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"split": {}}, r"holds a dict of 'split' \(dict of length 0\), not a dict"),
        ("text", r"holds a str"),
        ([], r"has no annotations"),
        ([1], r"annotation 0 is an int"),
    ],
)
def test_other_contents_are_refused(
    make_pickle: Callable[..., Path], content: Any, message: str
) -> None:
    path = make_pickle(content)
    with pytest.raises(InputError, match=rf"^{path}: {message}"):
        SkeletonPickle(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"split": ["a"]}, r"split is a list"),
        ({"split": {"train": "a"}}, r"split 'train' is a str"),
        ({"split": {"train": ["a", "e"]}}, r"split 'train' names 1 clips .*'e'"),
        ({"split": {"train": [], "val": ["a"]}}, r"split 'train' is empty"),
        ({"split": {"first": ["a"]}}, r"no division into training .*found: first"),
        ({"meta": 3}, r"meta is a int"),
        ({"meta": {"classes": ["one"]}}, r"meta names 1 classes, but there is a label 2; name all"),
        ({"meta": {"classes": ["a", "b", "a"]}}, r"two classes, 0 and 2, have the name 'a'; give"),
        ({"meta": {"edges": [(0, 99)]}}, r"meta describes no skeleton .*--skeleton"),
        ({"meta": {"edges": 7}}, r"meta describes no skeleton .*--skeleton"),
    ],
)
def test_wrong_entries_are_refused(
    make_pickle: Callable[..., Path], entries: dict[str, Any], message: str
) -> None:
    path = make_pickle(**entries)
    with pytest.raises(InputError, match=rf"^{path}: {message}"):
        SkeletonPickle(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.pkl: no such file"):
        SkeletonPickle(tmp_path / "none.pkl")
    assert list(tmp_path.rglob("*.npy")) == []


def test_the_store_lies_beside_the_pickle(make_pickle: Callable[..., Path]) -> None:
    path = make_pickle()
    assert Path(SkeletonPickle(path).root) == path.parent / ".pyg_stgcn/data.pkl"


def test_the_store_lies_in_the_home_of_pyg_beside_a_read_only_pickle(
    make_pickle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYG_HOME", str(tmp_path / "home"))
    path = make_pickle()
    folder = tmp_path / "read only"
    folder.mkdir()
    path = path.rename(folder / path.name)
    folder.chmod(0o555)
    try:
        dataset = SkeletonPickle(path)
        assert list(folder.iterdir()) == [path]
    finally:
        folder.chmod(0o755)
    assert len(dataset) == 2
    assert Path(dataset.root).is_relative_to(tmp_path / "home")


def test_a_bad_clip_of_a_user_is_left_out(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    annotations = [make_annotation(f"c{i}") for i in range(49)]
    annotations[7]["keypoint"] = np.zeros((1, 6, 25, 3))
    annotations[9] = 3
    names = [f"c{i}" for i in range(49) if i != 9]
    path = make_pickle(
        {"split": {"train": names[:30], "val": names[30:]}, "annotations": annotations}
    )
    train, every = SkeletonPickle(path), SkeletonPickle(path, split="all")
    assert (len(train), len(every)) == (29, 47)
    assert list(every.skipped) == ["c7", "annotation 9"]
    assert (
        f"{path}: 2 of 49 clips cannot be used and are left out:\n  clip 'c7' is e" in caplog.text
    )
    with pytest.raises(InputError, match="clip 'c7' is empty"):
        SkeletonPickle(path, strict=True)


def test_the_first_clip_alone_does_not_decide_the_skeleton(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any]
) -> None:
    annotations = [make_annotation(f"c{i}", shape=(1, 6, 25 if i else 24, 3)) for i in range(4)]
    dataset = SkeletonPickle(make_pickle(annotations), split="all")
    assert (dataset.skeleton.name, list(dataset.skipped)) == ("ntu25", ["c0"])


@pytest.mark.parametrize(
    ("labels", "classes", "warning"),
    [
        ([1, 2, 3, 1], None, "no clip has the label 0, class '0'; if labels are counted from 1"),
        ([0, 1, 3, 0], None, "1 of 4 classes have no clip: 2 (2); check the labels"),
        ([0, 1, 2, 0], list("abcd"), "1 of 4 classes have no clip: 3 (d); check the labels"),
        (
            [9, 1, 2, 0],
            None,
            "6 of 10 classes have no clip: 3 (3), 4 (4), 5 (5), 6 (6), 7 (7) and",
        ),
        ([0, 1, 2, 0], list("abc"), ""),
    ],
)
def test_classes_without_a_clip_are_warned_of(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any],
    labels: list[int], classes: list[str] | None, warning: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    annotations = [make_annotation(f"c{i}", label) for i, label in enumerate(labels)]
    meta = {} if classes is None else {"meta": {"classes": classes}}
    SkeletonPickle(make_pickle({"annotations": annotations, **meta}), split="all")
    assert warning in caplog.text if warning else caplog.text == ""


def test_labels_counted_from_one_do_not_fit_the_class_names(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any]
) -> None:
    content = {"annotations": [make_annotation(n, i) for i, n in enumerate("abc", start=1)]}
    path = make_pickle({**content, "meta": {"classes": ["x", "y", "z"]}})
    with pytest.raises(InputError, match=r"there is a label 3; .* from 1: subtract 1 from all"):
        SkeletonPickle(path, split="all")


def test_many_persons_in_few_frames_are_warned_of(
    make_pickle: Callable[..., Path], make_annotation: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    annotations = [make_annotation(n, shape=(110, 1, 25, 3)) for n in "abc"]
    SkeletonPickle(make_pickle(annotations), split="all")
    assert "more persons than frames (one has persons: 110, frames: 1)" in caplog.text
    assert "array.transpose(1, 0, 2, 3)" in caplog.text


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("jhmdb_pickle/GT_train_1_every30th", r"a dict of 'pose' .*, 'label' .*, not a dict"),
        ("mmaction2_pickles/sample", r"clip 'jf7RDuUTrsQ' has no keypoint"),
        ("mmaction2_pickles/joint", r"refused; nothing of it was executed"),
    ],
)
def test_genuine_pickles_of_other_kinds(
    shared_data: Path, tmp_path: Path, file: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        SkeletonPickle(shared_data / f"data/poses/{file}.pkl", root=tmp_path)


def test_names_of_any_length_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "data.pkl"
    clips = [two_dimensional("a"), two_dimensional("b", label=1)]
    split, long = {"train": ["a"], "val": ["b"]}, "x" * 5000
    for content, message in (
        ({"meta": {"classes": [long, "y"]}}, "a class name in meta is 'x.*', a text of 5000"),
        ({"meta": {"classes": ["y"] * 70_000}}, "meta names 70000 classes; there may be 65536"),
        ({"split": split | {"more": [long]}}, "a clip of split 'more' is 'x.*', a text of 5000"),
        ({"split": {long: ["a"]}}, "the name of a split is 'x.*', a text of 5000"),
    ):
        path.write_bytes(pickle.dumps({"split": split, "annotations": clips, **content}))
        with pytest.raises(InputError, match=rf"^{path}: .*{message}") as error:
            SkeletonPickle(path, root=tmp_path / "root", split="all")
        assert len(str(error.value)) < 500


def test_to_name_the_skeleton_that_is_taken_anyway_builds_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "flat.pkl"
    path.write_bytes(pickle.dumps([two_dimensional(name) for name in "abc"]))
    other = Skeleton.from_dict({**get_skeleton("coco17").to_dict(), "name": "other"})
    with caplog.at_level(logging.INFO):
        for skeleton, builds in (
            (None, 0),
            ("coco17", 0),
            (None, 0),
            (other, 1),
            (other, 1),
            ("coco17", 2),
            (None, 2),
        ):
            dataset = SkeletonPickle(path, tmp_path, skeleton, split="all")
            assert dataset.skeleton.name == ("other" if skeleton is other else "coco17")
            assert sum("building the store again" in line for line in caplog.messages) == builds
    # It was guessed once.
    assert sum("taken to be coco17" in line for line in caplog.messages) == 1
