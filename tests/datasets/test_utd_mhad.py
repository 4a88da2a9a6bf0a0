from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from pyg_stgcn.datasets import UTDMHAD
from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import get_skeleton


def test_the_genuine_archive(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "data/utd_mhad"
    reference = pickle.loads((folder / "utd_mhad_reference.pkl").read_bytes())
    dataset = UTDMHAD(tmp_path, split="all", source=folder / "Skeleton.zip")
    assert len(dataset) == 861
    assert dataset.num_classes == 27
    assert dataset.classes == reference["meta"]["classes"]
    assert list(dataset.skeleton.joints) == reference["meta"]["joints"]
    assert set(dataset.skeleton.bones) == set(reference["meta"]["edges"])
    assert (dataset.num_frames.min(), dataset.num_frames.max()) == (41, 125)
    assert np.median(dataset.num_frames) == 67
    expected = {annotation["frame_dir"]: annotation for annotation in reference["annotations"]}
    assert set(dataset.names) == set(expected)
    for data in dataset:
        keypoint = data.x.view(1, 20, -1, 3).transpose(1, 2)
        assert np.array_equal(keypoint, expected[data.name]["keypoint"])
        assert int(data.y) == expected[data.name]["label"]
    # The store is enough from now on.
    for split, names in (("train", "xsub_train"), ("val", "xsub_val")):
        part = UTDMHAD(tmp_path, benchmark="xsub", split=split)
        assert set(part.names) == set(reference["split"][names])
        assert len(part) == len(reference["split"][names])


def test_a_small_archive(make_skeleton_zip: Callable[..., Path], tmp_path: Path) -> None:
    source = make_skeleton_zip()
    train = UTDMHAD(tmp_path / "root", source=source)
    val = UTDMHAD(tmp_path / "root", split="val", source=source)
    assert (train.names, val.names) == (
        ["a01_s01_t01", "a27_s03_t02"],
        ["a01_s02_t01", "a02_s04_t01"],
    )
    assert train.labels.tolist() == [0, 26]
    assert train.skeleton == get_skeleton("kinect20")
    assert train.benchmarks == ("xsub",)
    assert not train.has_score
    with zipfile.ZipFile(source) as archive:
        member = archive.read("Skeleton/a27_s3_t2_skeleton.mat")
    array = scipy.io.loadmat(io.BytesIO(member))["d_skel"]
    data = train[1]
    assert data.x.shape == (20, 9, 3)
    for joint, frame, axis in ((0, 0, 0), (19, 8, 2), (7, 3, 1)):
        assert data.x[joint, frame, axis] == np.float32(array[joint, axis, frame])


def test_the_archive_is_found_in_the_raw_folder(
    make_skeleton_zip: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "root/raw").mkdir(parents=True)
    make_skeleton_zip().rename(tmp_path / "root/raw/Skeleton.zip")
    assert len(UTDMHAD(tmp_path / "root", split="all")) == 4


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: data[: len(data) // 2], r"not a complete zip archive"),
        (lambda data: b"", r"not a complete zip archive of 0 bytes"),
        (lambda data: b"<html>not found</html>", r"not a complete zip archive of 22 bytes"),
        (lambda data: data[:300] + bytes(40) + data[340:], r"a1_s1_t1_skeleton.mat is damaged"),
    ],
)
def test_a_damaged_archive(
    make_skeleton_zip: Callable[..., Path],
    tmp_path: Path,
    harm: Callable[[bytes], bytes],
    message: str,
) -> None:
    source = make_skeleton_zip()
    source.write_bytes(harm(source.read_bytes()))
    with pytest.raises(InputError, match=rf"^{source}: .*{message}"):
        UTDMHAD(tmp_path / "root", source=source)
    assert list((tmp_path / "root").rglob("*.npy")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": []}, r"none of its 2 files is called a\*_s\*_t\*_skeleton.mat"),
        ({"variable": "other"}, r"a1_s1_t1_skeleton.mat has no variable d_skel"),
        ({"shape": (20, 9)}, r"d_skel has shape \(20, 9\)"),
        ({"shape": (20, 4, 9)}, r"d_skel has shape \(20, 4, 9\)"),
        (
            {"shape": (25, 3, 9)},
            r"clip 'a01_s01_t01' has 25 joints, the skeleton 'kinect20' has 20",
        ),
        ({"clips": [(28, 1, 1)]}, r"clip 'a28_s01_t01' has label 27, but there are 27 classes"),
    ],
)
def test_an_archive_of_other_things(
    make_skeleton_zip: Callable[..., Path], tmp_path: Path, options: dict, message: str
) -> None:
    source = make_skeleton_zip(**options)
    with pytest.raises(InputError, match=rf"^{source}: .*{message}") as caught:
        UTDMHAD(tmp_path / "root", source=source)
    assert str(caught.value).count(str(source)) == 1


def test_names_in_the_archive_lead_nowhere(tmp_path: Path) -> None:
    source = tmp_path / "Skeleton.zip"
    file = io.BytesIO()
    scipy.io.savemat(file, {"d_skel": np.ones((20, 3, 5))})
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("../../../a1_s1_t1_skeleton.mat", file.getvalue())
    UTDMHAD(tmp_path / "root", source=source)
    assert list(tmp_path.parent.glob("*.mat")) == []


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.zip: no such file; check --source"):
        UTDMHAD(tmp_path, source=tmp_path / "none.zip")


def test_without_network_the_message_says_where_to_put_the_file(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/Skeleton.zip"

    class Unreachable(UTDMHAD):
        archive = replace(UTDMHAD.archive, urls=(url,))

    with pytest.raises(InputError) as caught:
        Unreachable(tmp_path)
    for part in (url, str(tmp_path / "raw" / "Skeleton.zip"), "--source", UTDMHAD.page):
        assert part in str(caught.value)
