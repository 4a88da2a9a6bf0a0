from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.estimators import ESTIMATORS, FunctionEstimator, create_estimator
from pyg_stgcn.poses.video_file import Image

#: Blue differs from red.
IMAGE = np.broadcast_to(np.array([200, 100, 50], np.uint8), (48, 64, 3))
PERSON = np.arange(51, dtype=np.float32).reshape(1, 17, 3) + 1


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"'movenett' is not one of .*did you mean 'movenet'"):
        create_estimator("movenett")
    with pytest.raises(InputError, match="no_such_module:estimate cannot be imported"):
        create_estimator("no_such_module:estimate")
    with pytest.raises(InputError, match="math:pi is no pose estimator; it needs an attribute"):
        create_estimator("math:pi")


def test_own_estimator_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "estimator_of_mine.py").write_text(
        "import numpy as np\n"
        "from pyg_stgcn.poses.estimators import FunctionEstimator\n"
        "from pyg_stgcn.skeletons import get_skeleton\n"
        "one = FunctionEstimator(lambda image: np.full((1, 21, 3), image.max()),"
        " get_skeleton('hand21'))\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    estimator = create_estimator("estimator_of_mine:one")
    assert sys.path == before
    assert isinstance(estimator, FunctionEstimator) and estimator.skeleton.name == "hand21"
    assert (estimator(IMAGE) == 200).all()


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"movenet"}))
def test_package_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=f"{name} cannot be imported .* pip install {name}"):
        create_estimator(name)


# The models of the other packages are fetched from addresses that tests cannot count on. The
# stand-ins return what the packages do.


def test_rtmlib(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [np.zeros((0, 4)), np.zeros((1, 4))]
    seen: list[Image] = []

    def find_pose(image: Image, bboxes: NDArray[np.float32]) -> object:
        seen.append(image)
        return PERSON[..., :2], PERSON[..., 2]

    body = SimpleNamespace(det_model=lambda image: boxes.pop(0), pose_model=find_pose)
    modes: list[str] = []
    rtmlib = SimpleNamespace(Body=lambda mode, **_: modes.append(mode) or body)
    monkeypatch.setitem(sys.modules, "rtmlib", rtmlib)
    estimator = create_estimator("rtmlib:lightweight")
    assert modes == ["lightweight"]
    # Without a box, its pose model takes the whole image for a person.
    assert estimator(IMAGE).shape == (0, 17, 3) and not seen
    assert (estimator(IMAGE) == PERSON).all()
    assert seen[0][0, 0].tolist() == [50, 100, 200] and seen[0].flags.c_contiguous


def test_ultralytics(monkeypatch: pytest.MonkeyPatch) -> None:
    persons = torch.from_numpy(PERSON.copy())
    persons[0, 3, :2] = 0
    keypoints: list[object] = [SimpleNamespace(data=persons), None]

    def predict(image: Image, verbose: bool) -> list[object]:
        assert image[0, 0].tolist() == [50, 100, 200]
        return [SimpleNamespace(keypoints=keypoints.pop(0))]

    yolo = SimpleNamespace(YOLO=lambda name: SimpleNamespace(predict=predict))
    monkeypatch.setitem(sys.modules, "ultralytics", yolo)
    estimator = create_estimator("ultralytics")
    found = estimator(IMAGE)
    assert (found[0, 3] == 0).all()
    assert (np.delete(found, 3, axis=1) == np.delete(PERSON, 3, axis=1)).all()
    with pytest.raises(InputError, match=r"yolo11n-pose\.pt: is not a pose model"):
        estimator(IMAGE)


def test_mediapipe(monkeypatch: pytest.MonkeyPatch) -> None:
    landmark = [SimpleNamespace(x=0.5, y=0.25, visibility=0.9)] * 33
    results = [None, SimpleNamespace(landmark=landmark)]

    def process(image: Image) -> object:
        assert image[0, 0].tolist() == [200, 100, 50]
        return SimpleNamespace(pose_landmarks=results.pop(0))

    pose = SimpleNamespace(Pose=lambda static_image_mode: SimpleNamespace(process=process))
    package = SimpleNamespace(solutions=SimpleNamespace(pose=pose), __version__="0.10.21")
    monkeypatch.setitem(sys.modules, "mediapipe", package)
    estimator = create_estimator("mediapipe")
    assert estimator(IMAGE).shape == (0, 33, 3)
    assert np.allclose(estimator(IMAGE), [32, 12, 0.9])
    del package.solutions
    with pytest.raises(InputError, match=r"contains no pose model; fetch https://.*\.task"):
        create_estimator("mediapipe")


def test_model_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError("no connection")

    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=load))
    with pytest.raises(InputError, match=r"ultralytics:best\.pt cannot load its model .no conn"):
        create_estimator("ultralytics:best.pt")
