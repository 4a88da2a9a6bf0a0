from __future__ import annotations

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.names import AUGMENTATIONS, parse_augmentations
from pyg_stgcn.runs.augmentation import make_augmentations
from pyg_stgcn.skeletons import get_skeleton

NTU = get_skeleton("ntu25")


def test_names_with_and_without_values() -> None:
    assert parse_augmentations([]) == {}
    values = parse_augmentations(["noise=0.02", "mirror", "frame-loss=5e-1"])
    assert values == {"noise": 0.02, "mirror": 0.5, "frame-loss": 0.5}


def test_order_does_not_depend_on_the_user() -> None:
    values = parse_augmentations(reversed(AUGMENTATIONS))
    steps = [type(step).__name__ for step in make_augmentations(values, NTU)]
    assert steps == [
        "RandomMirror",
        "TemporalCrop",
        "RandomSpeed",
        "GaussianNoise",
        "JointDropout",
        "TemporalCorruption",
    ]


def test_values_reach_the_transforms() -> None:
    values = dict.fromkeys(AUGMENTATIONS, 0.3)
    mirror, crop, speed, noise, joints, frames = make_augmentations(values, NTU)
    numbers = [mirror.p, crop.min_fraction, speed.max_change, noise.std, joints.ratio, frames.ratio]
    assert numbers == [0.3] * 6
    assert joints.seed is None and frames.seed is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["flip"], r"no augmentation 'flip'; choose from mirror=0\.5, crop=0\.5, .*frame-loss="),
        (["noise=loud"], r"'noise=loud': 'loud' is not a number; write noise=0\.01"),
        (["noise="], "'noise=': '' is not a number"),
        (["crop", "crop=0.8"], r"'crop=0\.8': crop comes twice"),
    ],
)
def test_words_that_say_nothing(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_augmentations(words)


def test_values_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"'mirror=2': p: 2 is not a probability; give 0 to 1"):
        make_augmentations({"mirror": 2.0}, NTU)
    with pytest.raises(InputError, match=r"'mirror=0\.5': skeleton 'hand21': .* 'pairs'"):
        make_augmentations({"mirror": 0.5}, get_skeleton("hand21"))
    with pytest.raises(InputError, match="no augmentation 'flip'"):
        make_augmentations({"flip": 0.5}, NTU)
