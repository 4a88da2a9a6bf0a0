"""The kinds of files that are mutated, and how each is opened."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from mutations import mutated_bytes, mutated_csv, mutated_json, mutated_npz, mutated_toml
from safetensors.torch import save_model
from tensor_mutations import mutated_checkpoint, mutated_safetensors, mutated_sparse

from pyg_stgcn.datasets import SkeletonDataset, SkeletonPickle
from pyg_stgcn.evaluation.run_evaluation import open_validation
from pyg_stgcn.models import Assembly, load_pyskl, pyskl_state_dict
from pyg_stgcn.poses import open_poses, write_poses
from pyg_stgcn.recognition import Recognizer
from pyg_stgcn.recognition import save as save_recognizer
from pyg_stgcn.runs.batches import clip_transform
from pyg_stgcn.runs.checkpoint import AtomicCheckpointIO
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.predictions import Predictions
from pyg_stgcn.runs.run_sparsity import sparsity_summary
from pyg_stgcn.skeletons import Skeleton, get_skeleton
from pyg_stgcn.sparsity import Ticket, load_sparse, save_ticket
from pyg_stgcn.studies.records import read_metrics, read_subsets, read_summary
from pyg_stgcn.training.from_ticket import first_epoch, open_ticket, start_from
from pyg_stgcn.training.pretrained import load_pretrained
from pyg_stgcn.training.runner import train


@dataclass(frozen=True)
class Kind:
    """A file, how it is mutated, and how it is opened.

    Args:
        path: The file; its content is put back afterwards.
        mutate: Makes other content of it.
        use: Uses it as the commands do.
        fraction: How often it is chosen in comparison with others.
    """

    path: Path
    mutate: Callable[[bytes, Random], bytes]
    use: Callable[[], object]
    fraction: int = 1


def use_run(folder: Path) -> None:
    """The steps of 'evaluate' and 'inspect' before they compute."""
    run = Run.open(folder)
    model = run.load_model()
    sparsity_summary(model, run, run.load_masks(model))
    validation = open_validation(run)
    validation.transform = clip_transform(run.config, validation, train=False, num_views=1)
    with torch.inference_mode():
        model(validation[0].x)


def use_predictions(path: Path) -> None:
    found = Predictions.load(path)
    assert np.isfinite(found.probabilities).all()
    str(found.names[0])


def use_ticket(path: Path, dense: Run) -> None:
    run = replace(dense, config=dense.config.replace(save_epoch=None, ticket=str(path)))
    ticket = open_ticket(run)
    first_epoch(run, ticket)
    start_from(ticket, run, run.build_model())


def use_store(open_dataset: Callable[[], SkeletonDataset], expected: list[torch.Tensor]) -> None:
    """A store is the one that was written, or is made again."""
    found = open_dataset()
    assert len(found) == len(expected)
    for number in (0, len(found) - 1):
        assert torch.equal(found[number].x, expected[number]), "other data than were written"


def annotations(rng: np.random.Generator) -> dict[str, Any]:
    clips = [
        {
            "frame_dir": f"clip{number:02}",
            "label": number % 3,
            "total_frames": 12,
            "keypoint": rng.normal(size=(1 + number % 2, 12, 5, 3)).astype(np.float32),
        }
        for number in range(18)
    ]
    names = [clip["frame_dir"] for clip in clips]
    meta = {"classes": ["a", "b", "c"], "joints": [f"joint{i}" for i in range(5)], "center": 2}
    return {
        "split": {"xsub_train": names[:12], "xsub_val": names[12:]},
        "annotations": clips,
        "meta": {**meta, "edges": [(1, 0), (2, 1), (3, 2), (4, 3)]},
    }


def make_kinds(folder: Path) -> dict[str, Kind]:
    """Runs and datasets in a folder, and the files of them to mutate."""
    data = folder / "tiny.pkl"
    data.write_bytes(pickle.dumps(annotations(np.random.default_rng(0))))
    config = TrainOptions.of(
        dataset=str(data), root=str(folder / "data"), channels=4, clip_frames=8, epochs=1
    )
    config = config.replace(batch_size=6, eval_views=1, accelerator="cpu", hold_out=0.25)
    train(config.replace(sparsity=0.9), folder / "sparse")
    train(config.replace(save_epoch=0), folder / "dense")
    train(config.replace(levels=[0.5, 0.8]), folder / "assembly")
    sparse, dense, assembly = (Run.open(folder / n) for n in ("sparse", "dense", "assembly"))
    kinds: dict[str, Kind] = {}

    def add(
        name: str, path: Path, mutate: Any, use: Callable[[], object], fraction: int = 1
    ) -> None:
        kinds[name] = Kind(path, mutate, use, fraction)

    for run in (sparse, assembly):
        name = run.folder.name
        path = run.config_file
        add(f"config of {name}", path, mutated_toml, lambda r=run: use_run(r.folder), 6)
        add(f"weights of {name}", run.weights, mutated_safetensors, lambda r=run: use_run(r.folder))
        path = run.folder / "summary.json"
        add(f"summary of {name}", path, mutated_json, lambda r=run: read_summary(r.folder), 8)
    path = assembly.folder / "assembly.json"
    add("subsets", path, mutated_json, lambda: read_subsets(assembly.folder), 8)
    add("masks", sparse.masks, mutated_sparse, lambda: use_run(sparse.folder))
    path = sparse.predictions
    add("predictions", path, mutated_npz, lambda: use_predictions(sparse.predictions), 12)
    add("metrics", sparse.metrics, mutated_csv, lambda: read_metrics(sparse.metrics), 8)
    path = sparse.sparse_weights
    add("sparse weights", path, mutated_sparse, lambda: load_sparse(sparse.sparse_weights), 2)
    checkpoint = sparse.last_checkpoint
    reader = AtomicCheckpointIO()
    add("checkpoint", checkpoint, mutated_checkpoint, lambda: reader.load_checkpoint(checkpoint), 2)
    add_models(add, folder, sparse, dense)
    add_data(add, folder, data)
    add_poses(add, folder / "poses")
    return kinds


def add_models(add: Any, folder: Path, sparse: Run, dense: Run) -> None:
    """Weights that came from somewhere else."""
    model = dense.load_model()
    state = pyskl_state_dict(model)
    for name, new in (("pyskl", True), ("old pyskl", False)):
        path = folder / f"{name.replace(' ', '-')}.pth"
        content = {"meta": {"epoch": 16}, "state_dict": OrderedDict(state)}
        torch.save(content, path, _use_new_zipfile_serialization=new)
        add(name, path, mutated_checkpoint, lambda p=path: load_pyskl(dense.build_model(), p), 2)
    path = folder / "init.safetensors"
    save_model(model, str(path))
    use = lambda p=path: load_pretrained(dense.build_model(), p)  # noqa: E731
    add("init", path, mutated_safetensors, use)
    masks = {
        name: torch.rand(value.shape) > 0.9
        for name, value in model.state_dict().items()
        if value.dim() > 1 and not name.startswith(("head.", "data_norm."))
    }
    options = ("backbone", "graph", "channels", "stages", "inflate_stages", "down_stages")
    metadata = {name: dense.config.flat()[name] for name in options}
    metadata |= {"in_channels": dense.in_channels, "classes": dense.classes, "epoch": 0}
    metadata |= {"skeleton": dense.skeleton.to_dict(), "structure": "unstructured"}
    ticket = folder / "ticket.safetensors"
    save_ticket(ticket, Ticket(masks, model.state_dict(), metadata))
    add("ticket", ticket, mutated_sparse, lambda: use_ticket(ticket, dense), 2)
    exported, trained = folder / "exported.safetensors", sparse.load_model()
    assert not isinstance(trained, Assembly)
    save_recognizer(
        exported,
        trained,
        options=[{"name": name, **sparse.options} for name in sparse.backbones],
        classes=sparse.classes,
        preprocessing={"stream": "joint", "clip_frames": sparse.frames, "has_score": False},
    )
    add("exported", exported, mutated_sparse, lambda: Recognizer.load(exported).skeleton)


def add_data(add: Any, folder: Path, data: Path) -> None:
    """A skeleton, a pickle, and the store of a pickle."""
    skeleton = folder / "skeleton.json"
    get_skeleton("coco17").to_json(skeleton)
    add("skeleton", skeleton, mutated_json, lambda: Skeleton.from_json(skeleton), 8)

    def open_dataset(root: str) -> SkeletonDataset:
        return SkeletonPickle(data, root=str(folder / root), split="all")

    def use_pickle() -> None:
        shutil.rmtree(folder / "other", ignore_errors=True)
        assert torch.isfinite(open_dataset("other")[0].x).all()

    add("pickle", data, mutated_bytes, use_pickle, 4)
    dataset = open_dataset("stored")
    expected = [clip.x for clip in dataset]
    for path in sorted(Path(dataset.processed_dir).rglob("*")):
        if path.suffix == ".npy" and path.is_file():
            mutate: Any = lambda d, r: mutated_bytes(d[:128], r) + d[128:]  # noqa: E731
        elif path.suffix == ".json":
            mutate = mutated_json
        else:
            continue
        use = lambda: use_store(lambda: open_dataset("stored"), expected)  # noqa: E731
        add(f"store {path.name}", path, mutate, use)


def use_poses(path: Path) -> None:
    for recording in open_poses(path, image_size=(480, 640)):
        shape = (recording.skeleton.num_joints, recording.num_channels)
        for frame in recording.frames():
            assert frame.joints.shape[1:] == shape and np.isfinite(frame.joints).all()
            assert not frame.joints[frame.scores == 0].any()


def add_poses(add: Any, folder: Path) -> None:
    """Files of pose estimators: one frame, and whole recordings."""
    points = [number + part for number in range(18) for part in (20.5, 30.5, 0.5)]
    person = {"person_id": [1], "pose_keypoints_2d": points, "face_keypoints_2d": []}
    results = [
        {"image_id": f"{number // 2}.jpg", "category_id": 1, "keypoints": points[:51]}
        | {"score": 2.5, "box": [1.0, 2.0, 3.0, 4.0], "idx": number % 2}
        for number in range(6)
    ]
    contents = {"openpose": {"version": 1.3, "people": [person] * 2}, "alphapose": results}
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (recording,) = open_poses(folder / "alphapose.json")
    write_poses(recording, folder / "mmpose.json")
    for name in (*contents, "mmpose"):
        path = folder / f"{name}.json"
        add(name, path, mutated_json, lambda p=path: use_poses(p), 4)
