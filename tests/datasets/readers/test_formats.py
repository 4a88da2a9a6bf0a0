"""A file that is whole but no pickle is called by its name, with what reads it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import socket
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import safetensors.numpy
import scipy.io
import torch

from pyg_stgcn.datasets import NTU60, UTDMHAD, Kinetics400HRNet, SkeletonPickle
from pyg_stgcn.errors import InputError
from pyg_stgcn.file_kinds import refuse_other_formats
from pyg_stgcn.models import create_model, load_pyskl
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.sparsity import load_sparse
from pyg_stgcn.unpickle import load_pickle


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(*members: str) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for member in members:
                archive.writestr(member, b"x")

    return written(write)


def tarred(file: io.BytesIO) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.pkl"))


ARRAY = np.zeros((2, 3, 10, 18, 1), np.float32)
ANNOTATIONS = {"annotations": [{"frame_dir": "a", "keypoint": np.zeros((1, 400, 17, 2))}]}
KINETICS = {"data": [{"frame_index": 1, "skeleton": []}], "label": "x", "label_index": 0}
SKELETON = "1\n1\n72057594037931101 0 1 1 0 1 0 -0.027 0.057 2\n25\n"
CASES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty, .*fetch it again"),
    "npy": (
        written(lambda file: np.save(file, ARRAY)),
        r"a NumPy array of shape \(2, 3, 10, 18, 1\).*numpy.load .*numpy.save.*datasets import"
        r".*transpose\(0, 4, 2, 3, 1\)",
    ),
    "npy of one clip": (
        written(lambda file: np.save(file, ARRAY[0])), r"shape \(3, 10, 18, 1\).*datasets import"
    ),
    "npy of clips with the axes in order": (
        written(lambda file: np.save(file, np.zeros((5, 2, 10, 18, 3)))), "datasets import$"
    ),
    "damaged npy": (b"\x93NUMPY\x01\x00v\x00{'descr': )", "a damaged NumPy file"),
    "npz": (
        written(lambda file: np.savez(file, x_train=ARRAY, y_train=ARRAY)),
        "a NumPy archive of x_train, y_train.*datasets import",
    ),
    "checkpoint": (
        written(lambda file: torch.save({"weight": torch.zeros(2)}, file)),
        "a checkpoint of PyTorch.*--init",
    ),
    "old checkpoint": (
        written(lambda file: torch.save({}, file, _use_new_zipfile_serialization=False)),
        "a checkpoint of PyTorch.*--init",
    ),
    "safetensors": (
        safetensors.numpy.save({"weight": ARRAY}), "a safetensors file of weights.*--init"
    ),
    "zip": (zipped("data/a.csv"), "a zip archive.*--source"),
    "zip of UTD-MHAD": (
        zipped("Skeleton/a1_s1_t1_skeleton.mat"), "zip archive of.*dataset utd-mhad, with --source"
    ),
    "zip of NTU": (zipped("s/S001C001P001R001A001.skeleton"), "a zip archive of.*dataset ntu60"),
    "zip of a pickle": (zipped("my_data.pkl"), "a zip archive.*unpack it"),
    "damaged zip": (b"PK\x03\x04" + bytes(100), "a damaged zip archive"),
    "tar": (written(tarred), "a tar archive.*unpack"),
    "gzip": (gzip.compress(pickle.dumps(ANNOTATIONS)), "compressed with gzip.*gunzip"),
    "LZMA": (lzma.compress(b"x", lzma.FORMAT_ALONE), "compressed with LZMA.*unlzma"),
    "bzip2": (bz2.compress(b"x"), "compressed with bzip2.*bunzip2"),
    "zlib": (zlib.compress(b"text"), "compressed with zlib"),
    "joblib": (written(lambda file: joblib.dump(ANNOTATIONS, file)), "joblib: .*joblib.load"),
    "joblib, zlib": (
        written(lambda file: joblib.dump(ANNOTATIONS, file, compress=3)), "joblib.*joblib.load"
    ),
    "joblib, gzip": (
        written(lambda file: joblib.dump(ANNOTATIONS, file, compress=("gzip", 3))),
        "joblib with gzip.*joblib.load",
    ),
    "mat": (written(lambda file: scipy.io.savemat(file, {"x": ARRAY})), "a MATLAB file.*loadmat"),
    "mat 7.3": (b"MATLAB 7.3 MAT-file" + bytes(500), "a MATLAB file of version 7.3.*h5py"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file.*h5py.*numpy.save"),
    "BVH": (b"HIERARCHY\nROOT Hips\n{\n", "BVH motion capture.*numpy.save"),
    "NTU": (SKELETON.encode(), "a .skeleton file of NTU.*ntu60 .*--source FOLDER"),
    "NTU, CRLF": (SKELETON.replace("\n", "\r\n").encode(), "a .skeleton file of NTU.*ntu60"),
    "Kinetics": (json.dumps(KINETICS).encode(), "Kinetics-skeleton.*kinetics400-skeleton.*FOLDER"),
    "NW-UCLA": (
        json.dumps({"file_name": "a", "skeletons": [], "label": 1}).encode(), "NW-UCLA.*nw-ucla"
    ),
    "OpenPose": (
        json.dumps({"people": [{"pose_keypoints_2d": [0.5]}]}).encode(), "OpenPose.*import.*predict"
    ),
    "AlphaPose": (
        json.dumps([{"image_id": "1.jpg", "keypoints": [1.5]}]).encode(), "pose estimator.*import"
    ),
    "a skeleton": (json.dumps({"joints": ["a"], "bones": []}).encode(), "--skeleton FILE"),
    "JSON": (json.dumps({"annotations": []}).encode(), "is JSON, not a pickle.*numpy.save"),
    "JSON with a mark": (b"\xef\xbb\xbf[]", "is JSON, not a pickle"),
    "JSON in UTF-16": ("[1, 2]".encode("utf-16"), "is JSON, not a pickle"),
    "CSV": (b"frame_id,x_0,y_0\n0,0.5,0.5\n", "a table in a text file.*joints.*import"),
    "CSV from c": (b"clip;frame;x\n1;2;3\n", "a table in a text file.*joints.*import"),
    "numbers with blanks": (b"0 0.5 -1e-3\n1 0.5 2\n", "a table in a text file.*joints.*import"),
    "a text": (b"[names]\na = 1\n", "not a pickle, or a damaged one; name a pickle of clips"),
    "C3D": (b"\x02\x50" + bytes(510), "not a pickle, or a damaged one"),
    "web page": (b"<!DOCTYPE html>\n<html>", "a web page.*login"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "video": (b"\x00\x00\x00\x20ftypisom", "a video.*pyg-stgcn poses"),
    "tensors": (pickle.dumps({"pred": torch.zeros(2)}), r"PyTorch tensors.*\.numpy\(\)"),
    "another dict": (
        pickle.dumps({"pose": [ARRAY], "label": ["wave"], "x": ARRAY}),
        r"a dict of 'pose' \(list of length 1\), 'label' \(list of length 1\), "
        r"'x' \(array of shape \(2, 3, 10, 18, 1\)\), not a dict of 'split' and 'annotations'",
    ),
    "arrays in a list": (
        pickle.dumps([ARRAY]), r"annotation 0 is an array of shape \(2, 3, 10, 18, 1\), not a dict"
    ),
    "an array": (pickle.dumps(ARRAY), r"holds an array of shape \(2, 3, 10, 18, 1\), not a dict"),
    "the index of Kinetics-400": (
        pickle.dumps({"annotations": [
            {"frame_dir": "a", "label": 0, "img_shape": (2, 3), "frame_inds": np.arange(3)}]}),
        "index of kinetics400-hrnet.* k400_hrnet.pkl.* dataset kinetics400-hrnet, with --source",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_format_and_the_remedy_are_named(tmp_path: Path, name: str) -> None:
    content, message = CASES[name]
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}") as caught:
        SkeletonPickle(path)
    assert "not a complete pickle" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert sorted(tmp_path.rglob("*.npy")) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [{"a": 1}, [{"a": 1}], {}, [], np.zeros(3), "a,b\nc,d\n", 5])
def test_no_pickle_is_taken_for_another_format(tmp_path: Path, content: Any, protocol: int) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(pickle.dumps(content, protocol))
    assert np.array_equal(load_pickle(path, refuse_other_formats), content)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("poses/mmaction2_pickles/joint.pkl", "PyTorch tensors"),
        ("poses/mmaction2_pickles/sample.pkl", "dataset kinetics400-hrnet"),
        ("poses/jhmdb_pickle/GT_train_1_every30th.pkl", r"a dict of 'pose' \(list of length 15\)"),
        ("poses/stgcn_npy/train/A01/MSR_a16_s01_e01.npy", r"shape \(3, 156, 18, 1\)"),
        ("poses/stgcn_npy", r"is a folder; test/A01/.*npy in it is a NumPy array"),
        ("poses/openpose_body25", r"is a folder; .*json in it is JSON of OpenPose"),
        ("poses/alphapose_coco17/Activity3_first120.json", "JSON of a pose estimator"),
        ("poses/mediapipe_csv/pose_landmarks.csv", "a table in a text file"),
        ("ntu_raw", "is a folder; .* as dataset ntu60"),
        ("kinetics_skeleton", "is a folder; .* as dataset kinetics400-skeleton"),
        ("pyskl/k400_entries_sample.pkl", "dataset kinetics400-hrnet"),
        ("utd_mhad/Skeleton.zip", "a zip archive"),
        ("video/ntu_sample.avi", "a video"),
    ],
)
def test_genuine_files(shared_data: Path, tmp_path: Path, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SkeletonPickle(shared_data / "data" / file, root=tmp_path)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: is a folder without a .pkl file; name a file"):
        SkeletonPickle(tmp_path / "empty")
    (tmp_path / "full/inner").mkdir(parents=True)
    (tmp_path / "full/inner/b.pkl").touch()
    (tmp_path / "full/a.txt").write_text("text")
    with pytest.raises(InputError, match=r"full: is a folder, not a file; .* as .*/inner/b.pkl$"):
        SkeletonPickle(tmp_path / "full")
    with pytest.raises(InputError, match=r"full: is a folder without a .zip file"):
        UTDMHAD(tmp_path / "root", source=tmp_path / "full")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to: to open it waits for ever."""
    path = tmp_path / "special/pipe.pkl"
    path.parent.mkdir()
    os.mkfifo(path)
    return path


def open_run_of(path: Path) -> Run:
    """Open a folder that looks like that of a run."""
    (path.parent / "config.toml").touch()
    return Run.open(path.parent)


@pytest.mark.parametrize(
    "open_path",
    [
        load_pickle,
        SkeletonPickle,
        lambda path: NTU60(path.parent / "root", source=path),
        lambda path: load_pyskl(create_model("stgcn", 2, get_skeleton("ntu25")), path),
        load_sparse,
        lambda path: get_skeleton(os.fspath(path)),
        open_run_of,
    ],
)
def test_a_pipe_is_refused_and_not_waited_for(pipe: Path, open_path: Any) -> None:
    with pytest.raises(InputError, match=rf"^{pipe}: is a pipe, socket or device"):
        open_path(pipe)


def test_pipes_and_sockets_in_a_folder_are_left_out(
    tmp_path: Path, make_recording: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    joints = np.random.default_rng(0).normal(size=(25, 3))
    for name in ("S001C001P001R001A001", "S001C001P002R001A002"):
        (source / f"{name}.skeleton").write_bytes(make_recording({0: joints}, {0: joints + 1}))
    os.mkfifo(source / "S001C001P003R001A003.skeleton")
    os.mkfifo(source / "more.zip")
    (source / "S001C001P004R001A004.skeleton").symlink_to("/dev/zero")
    monkeypatch.chdir(source)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("S001C001P005R001A005.skeleton")
        dataset = NTU60(tmp_path / "root", split="all", source=source)
    assert dataset.names == ["S001C001P001R001A001", "S001C001P002R001A002"]
    assert dataset.skipped == {}
    assert len(NTU60(tmp_path / "root", split="all", source=source)) == 2


def test_pipes_beside_the_parts_of_kinetics_are_left_out(tmp_path: Path) -> None:
    entry = {"frame_dir": "a", "label": 0, "img_shape": (2, 3), "frame_inds": np.array([0, 1])}
    index = {"split": {"train": ["a"]}, "annotations": [entry]}
    (tmp_path / "k400_hrnet.pkl").write_bytes(pickle.dumps(index))
    part = {"a": {"keypoint": np.ones((2, 17, 3), np.float16)}}
    (tmp_path / "part.pkl").write_bytes(pickle.dumps(part))
    os.mkfifo(tmp_path / "other.pkl")
    assert Kinetics400HRNet(tmp_path / "root", source=tmp_path).names == ["a"]
