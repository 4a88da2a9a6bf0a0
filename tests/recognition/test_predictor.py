"""Named predictions of raw poses, compared with those of an evaluation."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_geometric.data import Batch

from pyg_stgcn.datasets import SkeletonArrays, SkeletonDataset
from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.run_evaluation import evaluate_model
from pyg_stgcn.recognition import Prediction, Recognizer, describe, save
from pyg_stgcn.recognition.model_file import ArrayModule
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.opening import open_dataset
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runtime import SparseBackbone
from pyg_stgcn.training.runner import train

PREPROCESSING = {"stream": "joint", "clip_frames": 12, "has_score": False}


@pytest.fixture(scope="module")
def run(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("recognition")
    options = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(folder),
        channels=8,
        clip_frames=12,
        epochs=2,
        batch_size=12,
        eval_views=1,
        sparsity=0.9,
        accelerator="cpu",
    )
    train(options, folder / "run")
    return Run.open(folder / "run")


@pytest.fixture(scope="module")
def recognizer(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    path = tmp_path_factory.mktemp("file") / "mine.safetensors"
    options = [{"name": name, **run.options} for name in run.backbones]
    save(
        path,
        run.load_model(),
        options=options,
        classes=run.classes,
        preprocessing=run.preprocessing,
    )
    return Recognizer.load(path)


@pytest.fixture(scope="module")
def dataset(run: Run) -> SkeletonDataset:
    return open_dataset(run.config, "val")


def arrays_of(dataset: SkeletonDataset) -> list[NDArray[np.float32]]:
    clips = []
    for item in dataset:
        joints = item.x.view(item.num_persons, 5, -1, 3).transpose(1, 2)
        clips.append(joints.numpy())
    return clips


def probabilities(found: list[Prediction]) -> NDArray[np.float32]:
    return np.stack([one.probabilities for one in found])


@pytest.mark.parametrize("num_views", [1, 10])
def test_equals_the_evaluation(
    run: Run, recognizer: Recognizer, dataset: SkeletonDataset, num_views: int
) -> None:
    model = run.load_model()
    expected = evaluate_model(model, dataset.copy(), run.config, num_views=num_views)
    dense = Recognizer(ArrayModule(model), describe(model, run.classes, run.preprocessing))
    compiled = Recognizer.from_model(model, run.classes, run.preprocessing)
    assert compiled.about == recognizer.about == dense.about
    ways = itertools.product((dense, compiled, recognizer), (dataset, arrays_of(dataset)))
    for one, clips in ways:
        found = one.predict(clips, num_views=num_views)
        np.testing.assert_allclose(probabilities(found), expected.probabilities, atol=1e-6)
        best = expected.probabilities.argmax(axis=1)
        assert [prediction.label for prediction in found] == [run.classes[i] for i in best]
        assert [prediction.num_persons for prediction in found] == dataset.num_persons.tolist()


def test_one_clip_or_several(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    expected = recognizer.predict(dataset)
    clip = arrays_of(dataset)[4]
    same = (clip, clip[0], torch.from_numpy(clip).double(), dataset[4])
    for one in same:
        found = recognizer.predict(one)
        assert isinstance(found, Prediction)
        np.testing.assert_allclose(found.probabilities, expected[4].probabilities, atol=1e-6)
    for several in (list(same), np.stack([clip, clip]), Batch.from_data_list([dataset[4]] * 2)):
        for found in recognizer.predict(several):
            np.testing.assert_allclose(found.probabilities, expected[4].probabilities, atol=1e-6)
    assert recognizer.predict([]) == [] == recognizer.predict([], per_person=True)


def test_every_person_on_their_own(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    one, other = (arrays_of(dataset)[number] for number in (4, 7))
    frames = min(one.shape[1], other.shape[1])
    both = np.concatenate([one[:1, :frames], np.zeros_like(one[:1, :frames]), other[:1, :frames]])
    found = recognizer.predict(both, per_person=True)
    assert [person.label is None for person in found] == [False, True, False]
    for person, clip in ((0, one), (2, other)):
        alone = recognizer.predict(clip[:1, :frames])
        np.testing.assert_allclose(found[person].probabilities, alone.probabilities, atol=1e-6)
        assert found[person].num_persons == 1
    assert recognizer.predict(both).num_persons == 2
    assert [len(each) for each in recognizer.predict([both, one], per_person=True)] == [3, len(one)]


@pytest.mark.parametrize("shape", [(1, 20, 5, 3), (0, 20, 5, 3), (2, 0, 5, 3), (0, 5, 3)])
def test_nobody(recognizer: Recognizer, dataset: SkeletonDataset, shape: tuple[int, ...]) -> None:
    nobody = recognizer.predict(np.zeros(shape), num_views=3)
    assert nobody.is_nobody and nobody.label is None and nobody.num_persons == 0
    assert nobody.probability == 0 and not nobody.probabilities.any()
    # The clips around it keep their answers.
    clip = arrays_of(dataset)[0]
    first, middle, last = recognizer.predict([clip, np.zeros(shape), clip], num_views=3)
    assert middle.is_nobody and first.label == last.label == recognizer.predict(clip).label


def test_a_spoilt_clip_is_named(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    clip = arrays_of(dataset)[0].copy()
    clip[0, 3, 2, 1] = np.nan
    with pytest.raises(InputError, match=r"^clip 1: person 0, frame 3, joint 2 \(joint2\)"):
        recognizer.predict([arrays_of(dataset)[0], clip])
    item = dataset[5].clone()
    item.x[0, 0] = torch.inf
    with pytest.raises(InputError, match=rf"^clip 0 \({item.name}\): person 0, frame 0, joint 0"):
        recognizer.predict(item)


def test_other_units_are_refused(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    clip = arrays_of(dataset)[0]
    # With bones of length one, as here, units do not matter.
    assert recognizer.predict(1000 * clip).label == recognizer.predict(clip).label
    steps = {**recognizer.about["preprocessing"], "scale": False}
    unscaled = Recognizer(recognizer.model, {**recognizer.about, "preprocessing": steps})
    assert unscaled.predict(clip).label
    for factor in (1000, 1e-3):
        with pytest.raises(InputError, match="in their units"):
            unscaled.predict(clip * factor)
    with pytest.raises(InputError, match="the model reads 3-D"):
        recognizer.predict(clip, image_size=(480, 640))


def test_what_does_not_fit(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    for wrong in (np.ones(5), np.ones((20, 5)), np.ones((20, 7, 3)), [[1.0]]):
        with pytest.raises(InputError, match=r"^clip 0: shape"):
            recognizer.predict(wrong)
    for wrong in (None, 3, b"", {"x": 1}):
        with pytest.raises(InputError, match=r"^clips: "):
            recognizer.predict(wrong)
    for wrong in ("none.npy", Path("none.npy"), ["none.npy"]):
        with pytest.raises(InputError, match=r"^none.npy: there is no such file"):
            recognizer.predict(wrong)
    with pytest.raises(InputError, match=r"^clip 1: no array"):
        recognizer.predict([dataset[0], [[1.0], [1.0, 2.0]]])
    with pytest.raises(InputError, match="num_views: 0"):
        recognizer.predict(dataset, num_views=0)
    prepared = dataset[0]
    prepared.num_views = 2
    with pytest.raises(InputError, match="prepared for a model already"):
        recognizer.predict(prepared)
    persons = dataset[0]
    persons.num_persons = 3
    with pytest.raises(InputError, match="cannot belong to 3 persons"):
        recognizer.predict(persons)


def test_long_clips(recognizer: Recognizer) -> None:
    pose = np.random.default_rng(0).normal(size=(1, 1, 5, 3)).astype(np.float32)
    clip = np.broadcast_to(pose, (1, 10**6, 5, 3))
    found = recognizer.predict(clip)
    assert found.label == recognizer.predict(clip[:, :50]).label


def test_a_diverged_model(recognizer: Recognizer, dataset: SkeletonDataset) -> None:
    def spoilt(x: Any, batch: Any, num_clips: int) -> NDArray[np.float32]:
        return np.full((num_clips, 3), np.nan, np.float32)

    with pytest.raises(InputError, match="has diverged"):
        Recognizer(spoilt, recognizer.about).predict(dataset[0])


def test_items_in_the_plane(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.uniform(50, 400, (2, 20 + i, 17, 2)) for i in range(3)]
    items = SkeletonArrays(tmp_path, clips, [0, 0, 0], "coco17", image_sizes=[(480, 640)] * 3)

    def first_values(x: NDArray[np.float32], batch: Any, num_clips: int) -> NDArray[np.float32]:
        return x.reshape(num_clips, -1)[:, :3]

    about = {"classes": ["a", "b", "c"], "skeleton": items.skeleton.to_dict()}
    about["preprocessing"] = {**PREPROCESSING, "has_score": True}
    one = Recognizer(first_values, about)
    np.testing.assert_array_equal(
        probabilities(one.predict(items)), probabilities(one.predict(clips, image_size=(480, 640)))
    )


def test_threads_of_a_file(run: Run, tmp_path: Path) -> None:
    options = [{"name": name, **run.options} for name in run.backbones]
    save(
        tmp_path / "file",
        run.load_model(),
        options=options,
        classes=run.classes,
        preprocessing=run.preprocessing,
    )
    compiled = Recognizer.load(tmp_path / "file", threads=2).model.module
    if not isinstance(compiled, SparseBackbone):
        pytest.skip("no compiled kernels")
    assert compiled.threads == 2
    with pytest.raises(InputError, match="threads: 0"):
        Recognizer.load(tmp_path / "file", threads=0)
