from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pyg_stgcn.datasets.readers.ntu_names import (
    TRAINING_PERFORMERS,
    class_names,
    missing_names,
    official_splits,
    parse_name,
)
from pyg_stgcn.errors import InputError


def test_the_parts_of_a_name() -> None:
    name = parse_name("S017C003P040R002A060", "file")
    assert name == (17, 3, 40, 2, 60)
    assert (name.setup, name.camera, name.performer) == (17, 3, 40)
    assert (name.replication, name.action, name.label) == (2, 60, 59)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "S001C001P001R001",
            "s001c001p001r001a001",
            "S1C1P1R1A1",
            "S001C001P001R001A001.crlf",
        ),
        *(" S001C001P001R001A001", "S001C001P001R001A001\n", "S00\u0661C001P001R001A001"),
    ],
)
def test_other_names(name: str) -> None:
    with pytest.raises(InputError, match=r"^FILE: .* is not in the format SsssCcccPpppRrrrAaaa"):
        parse_name(name, "FILE")


@pytest.mark.parametrize("part", ["C000", "C004", "A000", "A121"])
def test_numbers_that_do_not_exist(part: str) -> None:
    parts = {"S": "001", "C": "001", "P": "001", "R": "001", "A": "001", part[0]: part[1:]}
    name = "".join(key + value for key, value in parts.items())
    with pytest.raises(InputError, match=rf"^FILE: '{name}' has camera \d+ and action \d+; NTU"):
        parse_name(name, "FILE")


def test_the_known_missing_names() -> None:
    names = missing_names()
    actions = [parse_name(name, name).action for name in names]
    assert len(names) == 535
    assert sum(action <= 60 for action in actions) == 302
    assert {"S001C002P005R002A008", "S032C003P067R002A077", "S001C003P005R002A005"} <= names
    assert "S001C001P001R001A001" not in names


def test_the_metadata_are_those_published(shared_data: Path) -> None:
    published = shared_data / "data/facts"
    assert missing_names() == set((published / "ntu_missing.txt").read_text().split())
    assert (
        list(class_names(120)) == (published / "classes_nturgbd_120.txt").read_text().splitlines()
    )


def test_class_names() -> None:
    assert len(set(class_names(120))) == 120
    assert class_names(60) == class_names(120)[:60]
    assert (class_names(60)[0], class_names(60)[-1]) == (
        "drink water",
        "walking apart from each other",
    )


def test_the_training_performers() -> None:
    assert len(TRAINING_PERFORMERS) == 53
    assert sum(performer <= 40 for performer in TRAINING_PERFORMERS) == 20
    assert max(TRAINING_PERFORMERS) == 103


def test_official_splits() -> None:
    names = [
        f"S{s:03}C{c:03}P{p:03}R001A001" for s, c, p in product((1, 2), (1, 2, 3), (1, 3, 103, 104))
    ]
    clips = {name: parse_name(name, name) for name in names}
    splits = official_splits(clips, ("xsub", "xview", "xset"))
    assert list(splits) == [
        f"{b}_{part}" for b in ("xsub", "xview", "xset") for part in ("train", "val")
    ]
    for benchmark, text in (
        ("xsub", ("P001", "P103")),
        ("xview", ("C002", "C003")),
        ("xset", ("S002",)),
    ):
        train = [name for name in names if any(part in name for part in text)]
        assert splits[f"{benchmark}_train"] == train
        assert splits[f"{benchmark}_val"] == [name for name in names if name not in train]
