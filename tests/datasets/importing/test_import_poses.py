"""Folders of OpenPose files become pickles."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyg_stgcn.datasets import SkeletonPickle
from pyg_stgcn.datasets.importing import import_poses as module
from pyg_stgcn.datasets.importing.import_options import ImportOptions
from pyg_stgcn.datasets.importing.import_poses import import_poses
from pyg_stgcn.datasets.importing.import_report import ImportReport, group_reasons
from pyg_stgcn.datasets.importing.path_clips import ImportContext, PathClips
from pyg_stgcn.errors import InputError
from pyg_stgcn.signals import Stopped
from pyg_stgcn.skeletons import Skeleton, get_skeleton

SIZE = (480, 640)
Poses = Callable[..., np.ndarray[Any, Any]]
Writer = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, write_openpose: Writer, make_poses: Poses) -> Path:
    """Three recordings of two classes, one of them with two persons."""
    folder = tmp_path / "poses"
    for seed, (place, persons) in enumerate([("walk/a", 1), ("wave/b", 2), ("wave/c", 1)]):
        write_openpose(folder / place, make_poses(seed, persons=persons), first=60)
    return folder


def run(folder: Path, **options: Any) -> tuple[dict[str, Any], ImportReport]:
    out = folder.parent / "mine.pkl"
    report = import_poses(folder, out, ImportOptions(image_size=SIZE, **options))
    assert sorted(p.name for p in out.parent.iterdir() if "labels" not in p.name) == [
        "mine.pkl",
        "poses",
    ]
    return pickle.loads(out.read_bytes()), report


def test_the_pickle_has_the_joints_of_the_files(folder: Path, make_poses: Poses) -> None:
    content, report = run(folder)
    assert content["meta"]["classes"] == ["walk", "wave"]
    found = [(a["frame_dir"], a["label"], a["total_frames"]) for a in content["annotations"]]
    assert found == [("walk/a", 0, 4), ("wave/b", 1, 4), ("wave/c", 1, 4)]
    for seed, annotation in enumerate(content["annotations"]):
        expected = make_poses(seed, persons=2 if seed == 1 else 1)
        np.testing.assert_array_equal(annotation["keypoint"], expected[..., :2])
        np.testing.assert_array_equal(annotation["keypoint_score"], expected[..., 2])
        assert annotation["img_shape"] == SIZE
    assert content["split"] == {} and (report.num_clips, report.skipped) == (3, [])
    dataset = SkeletonPickle(report.out, split="all")
    assert dataset.skeleton == get_skeleton("openpose25")
    assert dataset.classes == ["walk", "wave"]


def test_all_can_be_converted_to_another_layout(folder: Path) -> None:
    content, report = run(folder, to=get_skeleton("coco17"))
    assert content["annotations"][0]["keypoint"].shape == (1, 4, 17, 2)
    assert SkeletonPickle(report.out, split="all").skeleton == get_skeleton("coco17")
    with pytest.raises(
        InputError,
        match=r"no recording can be used.*to 'ntu25'.*same for 2 more",
    ):
        run(folder, to=get_skeleton("ntu25"))


def test_an_own_layout_is_kept_whole(folder: Path, tmp_path: Path) -> None:
    """Sides, spine and shoulders too, which joints and bones alone do not tell."""
    parts = get_skeleton("openpose25").to_dict() | {"name": "mine", "center": "nose"}
    parts["pairs"] = parts["pairs"][:2]
    layout = Skeleton.from_dict(parts)
    _, report = run(folder, skeleton=layout)
    assert SkeletonPickle(report.out, split="all").skeleton == layout


def test_folders_are_splits(folder: Path) -> None:
    for name, split in {"walk": "train", "wave": "Test"}.items():
        (folder / split).mkdir()
        (folder / name).rename(folder / split / name)
    content, _ = run(folder)
    assert content["split"] == {"test": ["Test/wave/b", "Test/wave/c"], "train": ["train/walk/a"]}
    assert content["meta"]["classes"] == ["walk", "wave"]
    with pytest.raises(InputError, match="name splits already"):
        run(folder, split=0.5)


def test_a_random_split_keeps_pieces_and_persons_together(folder: Path) -> None:
    labels = folder.parent / "labels.csv"
    rows = [f"{name},{label},{first},{first + 1}" for name in "abc" for label, first in
            (("up", 60), ("down", 62))]  # fmt: skip
    labels.write_text("\n".join(["name,label,first_frame,last_frame", *rows]))
    content, _ = run(folder, labels=labels, per_person=True, split=0.3, seed=2)
    train, val = content["split"]["train"], content["split"]["val"]
    assert len(train) + len(val) == len(content["annotations"]) == 8
    assert len({name.split("@")[0] for name in val}) == 1
    assert not {name.split("@")[0] for name in val} & {name.split("@")[0] for name in train}
    again, _ = run(folder, labels=labels, per_person=True, split=0.3, seed=2)
    assert again["split"] == content["split"]


def test_lines_without_recordings_and_recordings_without_lines(folder: Path) -> None:
    labels = folder.parent / "labels.csv"
    labels.write_text("name,label,split\na,2,train\nwave/b,10,val\nwave/d,2,val\n")
    content, report = run(folder, labels=labels)
    assert content["meta"]["classes"] == ["2", "10"]
    assert content["split"] == {"train": ["walk/a"], "val": ["wave/b"]}
    (one, reason), (other, missing) = report.skipped
    assert (one, other) == ("wave/c", "wave/d")
    assert "no line of" in reason and "line 4: there is no such recording" in missing
    labels.write_text("name,label\nclip1,up\n")
    with pytest.raises(InputError, match=r"such as 'clip1', recordings are such as 'walk/a'"):
        run(folder, labels=labels)
    (folder / "wave" / "b").rename(folder / "wave" / "a")
    labels.write_text("name,label\na,up\n")
    with pytest.raises(InputError, match=r"'a' may be 'walk/a' or 'wave/a'"):
        run(folder, labels=labels)


def test_bad_recordings_are_skipped_with_reasons(
    folder: Path, write_openpose: Writer, make_poses: Poses
) -> None:
    (folder / "wave" / "c" / "c_000000000061_keypoints.json").write_text("{")
    write_openpose(folder / "walk" / "far", 40 * make_poses(5))
    content, report = run(folder)
    assert [a["frame_dir"] for a in content["annotations"]] == ["walk/a", "wave/b"]
    assert dict(report.skipped).keys() == {"wave/c", "walk/far"}
    assert "outside" in dict(report.skipped)["walk/far"]
    with pytest.raises(InputError, match="wave/c"):
        run(folder, strict=True)
    for name in ("a", "b"):
        write_openpose(folder / "wave" / f"none{name}", make_poses(5)[:0].repeat(2, 1))
    with pytest.raises(InputError, match=r"only 2 clips can be used, 4 cannot.*skip_bad"):
        run(folder)
    assert run(folder, skip_bad=True)[1].num_clips == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": None}, "size of the images is not known.*image_size"),
        ({"split_by": "["}, "no regular expression"),
        ({"split": 1.0}, "split: 1 is out of range"),
        ({"strict": True, "skip_bad": True}, "one of the two"),
        ({"labels": Path("nowhere.csv")}, "nowhere.csv: there is no such file"),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    folder: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_poses(folder, folder.parent / "mine.pkl", ImportOptions(**options))
    assert [path.name for path in folder.parent.iterdir()] == ["poses"]


def test_layouts_are_not_mixed(folder: Path, write_openpose: Writer, make_poses: Poses) -> None:
    write_openpose(folder / "wave" / "d", make_poses(3)[:, :, :18])
    with pytest.raises(
        InputError, match=r"openpose25 \(25 joints\) in 3 recordings \(walk/a.*openpose18.*wave/d"
    ):
        run(folder)


def test_a_stopped_import_goes_on_and_ends_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = run(folder, split=0.5)
    whole = (folder.parent / "mine.pkl").read_bytes()
    (folder.parent / "mine.pkl").unlink()
    read, seen = module.read_path, list[str]()

    def stops_at_the_second(path: Path, context: ImportContext) -> PathClips:
        seen.append(path.name)
        if len(seen) == 2:
            raise Stopped(signal.SIGTERM)
        return read(path, context)

    monkeypatch.setattr(module, "read_path", stops_at_the_second)
    with pytest.raises(Stopped):
        run(folder, split=0.5)
    assert not (folder.parent / "mine.pkl").exists()
    content, _ = run(folder, split=0.5)
    assert seen == ["a", "b", "b", "c"]
    assert (folder.parent / "mine.pkl").read_bytes() == whole
    assert content["split"] == expected["split"]


def test_a_changed_file_is_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write_openpose: Writer, make_poses: Poses
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_content", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(folder)
    write_openpose(folder / "walk" / "a", make_poses(7), first=60)
    (cached, *_) = (folder.parent / ".mine.pkl.import").glob("*.npz")
    cached.write_bytes(cached.read_bytes()[:-200])
    content, _ = run(folder)
    np.testing.assert_array_equal(content["annotations"][0]["keypoint"], make_poses(7)[..., :2])
    assert len(content["annotations"]) == 3


def test_what_a_stopped_import_of_another_folder_has_read_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write_openpose: Writer, make_poses: Poses
) -> None:
    folder.rename(folder.parent / "classes")
    folder.mkdir()
    (folder.parent / "classes").rename(folder / "train")

    def stop() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(
                module, "write_content", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
            )
            with pytest.raises(KeyboardInterrupt):
                run(folder)

    stop()
    options = ImportOptions(image_size=SIZE)
    report = import_poses(folder / "train", folder.parent / "mine.pkl", options)
    content = pickle.loads(report.out.read_bytes())
    assert [a["frame_dir"] for a in content["annotations"]] == ["walk/a", "wave/b", "wave/c"]
    assert report.splits == {}
    # As soon as a recording lies in no folder of a split, such folders are no splits.
    stop()
    write_openpose(folder / "run" / "d", make_poses(5))
    content, report = run(folder)
    assert len(content["annotations"]) == 4 and report.splits == {}


def test_clips_without_a_split_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = folder.parent / "labels.csv"
    labels.write_text("name,label,split\na,walk,train\nb,wave,val\nc,wave,\n,,\n")
    _, report = run(folder, labels=labels)
    assert report.splits == {"train": 1, "val": 1} and report.num_clips == 3
    assert "1 clip is in no split, such as 'wave/c'" in caplog.text


def test_one_reason_stands_for_all_of_its_kind() -> None:
    skipped = [(f"walk/{i}", f"/data/walk/{i}.json: frame {i} has 'x{i}' in it") for i in range(3)]
    skipped += [("wave", "wave: nobody is seen")]
    assert group_reasons(skipped) == [
        (skipped[0][1], ["walk/0", "walk/1", "walk/2"]),
        ("wave: nobody is seen", ["wave"]),
    ]
