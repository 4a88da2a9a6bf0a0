from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from pyg_stgcn import Skeleton, create_model
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, pyskl_state_dict
from pyg_stgcn.recognition import describe
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.pretrained import load_pretrained
from pyg_stgcn.training.runner import train


@pytest.fixture(scope="module")
def source(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("source")
    config = TrainOptions.of(
        dataset=str(tiny_pickle),
        root=str(folder / "data"),
        channels=4,
        clip_frames=12,
        epochs=2,
        batch_size=12,
        eval_views=1,
        accelerator="cpu",
    )
    train(config, folder / "run")
    return folder / "run"


def model_of(run: Path, num_classes: int = 3, width: int = 4) -> nn.Module:
    torch.manual_seed(100)
    skeleton: Skeleton = Run.open(run).skeleton
    return create_model("stgcn", num_classes, skeleton, base_channels=width, graph="random")


def assert_backbone_is(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    state = model.state_dict()
    assert state.keys() == weights.keys()
    for name in state:
        assert name.startswith("head.") or state[name].equal(weights[name]), name


@pytest.mark.parametrize("name", [".", "model.safetensors"])
def test_weights_of_a_run(source: Path, name: str) -> None:
    weights = load_file(source / "model.safetensors")
    model = model_of(source)
    assert load_pretrained(model, source / name)
    assert all(value.equal(weights[name]) for name, value in model.state_dict().items())


def test_the_classifier_is_matched_by_the_names_of_its_classes(source: Path) -> None:
    weights = load_file(source / "model.safetensors")
    classes = Run.open(source).classes
    order = [1, 2, 0]
    model = model_of(source)
    assert load_pretrained(model, source, [classes[i] for i in order])
    for name in ("head.linear.weight", "head.linear.bias"):
        assert model.state_dict()[name].equal(weights[name][order])
    assert_backbone_is(model, weights)


def test_the_classifier_of_other_classes_is_not_taken(
    source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = load_file(source / "model.safetensors")
    model = model_of(source)
    head = model.head.linear.weight.clone()
    assert not load_pretrained(model, source, ["sit", "stand", "jump"])
    assert model.head.linear.weight.equal(head)
    assert_backbone_is(model, weights)
    assert "the classifier is left out, it has other classes" in caplog.text


def test_another_number_of_classes_keeps_the_new_classifier(source: Path, tmp_path: Path) -> None:
    weights = load_file(source / "model.safetensors")
    model = model_of(source, num_classes=7)
    head = model.head.linear.weight.clone()
    assert not load_pretrained(model, source)
    assert_backbone_is(model, weights)
    assert model.head.linear.weight.equal(head)

    trained = model_of(source)
    load_pretrained(trained, source)
    checkpoint = tmp_path / "j.pth"
    torch.save({"state_dict": pyskl_state_dict(trained), "meta": {"epoch": 16}}, checkpoint)
    for num_classes in (3, 7):
        model = model_of(source, num_classes)
        assert load_pretrained(model, checkpoint) == (num_classes == 3)
        assert_backbone_is(model, weights)


def test_an_assembly_keeps_its_new_classifiers(tmp_path: Path) -> None:
    def assembly(num_classes: int) -> Assembly:
        names = ("stgcn", "stgcnpp")
        return Assembly([create_model(n, num_classes, "coco17", base_channels=4) for n in names])

    trained = assembly(3)
    save_model(trained, str(tmp_path / "model.safetensors"))
    for num_classes in (3, 5):
        model = assembly(num_classes)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert load_pretrained(model, tmp_path) == (num_classes == 3)
        for name, value in model.state_dict().items():
            again = num_classes == 5 and "head." in name
            assert value.equal(before[name] if again else trained.state_dict()[name]), name


def test_weights_that_do_not_fit(source: Path, tmp_path: Path) -> None:
    wide = model_of(source, width=8)
    with pytest.raises(InputError, match=r"mismatched \(.*instead of.*channels"):
        load_pretrained(wide, source)
    torch.save(pyskl_state_dict(wide), tmp_path / "wide.pth")
    with pytest.raises(InputError, match=r"wide\.pth.*mismatched.*instead of"):
        load_pretrained(model_of(source), tmp_path / "wide.pth")
    with pytest.raises(InputError, match="no such file"):
        load_pretrained(wide, tmp_path / "nowhere.pth")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"^init .*bad\.safetensors: damaged"):
        load_pretrained(wide, tmp_path / "bad.safetensors")
    save_file({"x\n" * 5000: torch.ones(2)}, tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match=r"^init .*bad\.safetensors: 'x\\n.* is no name"):
        load_pretrained(wide, tmp_path / "bad.safetensors")
    save_file({"x": torch.ones(2)}, tmp_path / "bad.safetensors")
    content = (tmp_path / "bad.safetensors").read_bytes()
    (tmp_path / "bad.safetensors").write_bytes(content.replace(b'"F32"', b'"C64"'))
    with pytest.raises(InputError, match=r"^init .*bad\.safetensors: damaged"):
        load_pretrained(wide, tmp_path / "bad.safetensors")
    save_file({"x": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"missing.*1 unexpected \(x\)"):
        load_pretrained(wide, tmp_path / "other.safetensors")


def test_a_frozen_backbone_stays_as_it_is(source: Path, tmp_path: Path) -> None:
    weights = load_file(source / "model.safetensors")
    config = Run.open(source).config.replace(init=str(source), freeze_backbone=True, seed=1)
    train(config, tmp_path / "run")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert_backbone_is(Run.open(tmp_path / "run").load_model(), weights)
    assert not after["head.linear.weight"].equal(weights["head.linear.weight"])
    with pytest.raises(InputError, match="leaves nothing to prune"):
        train(config.replace(sparsity=0.5), tmp_path / "sparse")
    assert not (tmp_path / "sparse").exists()


def test_fine_tuning_starts_from_the_weights(source: Path, tmp_path: Path) -> None:
    config = Run.open(source).config.replace(init=str(source), epochs=1, lr=1e-12)
    train(config, tmp_path / "run")
    weights = load_file(source / "model.safetensors")
    after = load_file(tmp_path / "run" / "model.safetensors")
    for name, value in after.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, weights[name], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hands in the plane without scores: two classes, which lie in two places."""
    rng = np.random.default_rng(0)
    annotations = []
    for number in range(16):
        place = (200, 200) if number % 2 else (400, 250)
        keypoint = rng.normal(place, 20, (1, 12, 21, 2)).astype(np.float32)
        annotations.append(
            {
                "frame_dir": f"hand{number}",
                "label": number % 2,
                "keypoint": keypoint,
                "total_frames": 12,
                "img_shape": (480, 640),
            }
        )
    names = [item["frame_dir"] for item in annotations]
    content = {"split": {"train": names[:10], "val": names[10:]}, "annotations": annotations}
    path = tmp_path_factory.mktemp("hands") / "hands.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_published_weights_of_hands_without_scores(
    hands: Path, shared_data: Path, tmp_path: Path
) -> None:
    published = shared_data / "golden" / "published" / "hagrid.pth"
    config = TrainOptions.of(
        dataset=str(hands),
        skeleton="hand21",
        root=str(tmp_path / "data"),
        backbone="stgcnpp",
        channels=64,
        stages=6,
        inflate_stages=[6],
        down_stages=[6],
        use_score=False,
        fractions=True,
        augment={"noise": 0.01, "frame-loss": 0.25},
        clip_frames=10,
        epochs=1,
        batch_size=5,
        eval_views=1,
        accelerator="cpu",
        init=str(published),
        freeze_backbone=True,
    )
    train(config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    model, expected = run.load_model(), create_model("stgcnpp", pretrained=published)
    assert_backbone_is(model, expected.state_dict())
    about = describe(model, run.classes, run.preprocessing)
    assert about["preprocessing"]["use_score"] is False


def test_published_weights_tell_the_options_of_their_network(
    source: Path, shared_data: Path
) -> None:
    published = shared_data / "golden" / "published" / "hagrid.pth"
    options = r"backbone='stgcnpp', channels=64, stages=6, inflate_stages=\[6\], down_stages=\[6\]"
    with pytest.raises(InputError, match=rf"hagrid\.pth: .*{options}, use_score=False, stream and"):
        load_pretrained(model_of(source), published)
