from __future__ import annotations

import logging

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.matching import class_numbers


def match(found: list[str], expected: list[str]) -> list[int]:
    return class_numbers(found, expected, "data.pkl", "run")


def test_classes_are_matched_by_name(caplog: pytest.LogCaptureFixture) -> None:
    assert match(["sit", "run"], ["sit", "run"]) == [0, 1]
    assert not caplog.records
    assert match(["eat", "sit", "run"], ["sit", "run", "eat"]) == [2, 0, 1]
    assert "data.pkl: has the classes of run in another order, matched by name" in caplog.text
    assert match(["eat", "sit"], ["sit", "run", "eat"]) == [2, 0]
    assert "data.pkl: has 2 of the 3 classes of run, matched by name" in caplog.text


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["sit", "jump"], r"^data.pkl: 'jump' is not among the classes of run; it lacks 'run'; na"),
        (["sit", "run", "a", "b"], r"'a', 'b' are not among the classes of run; name data with"),
        ([f"c{i}" for i in range(9)], r"'c4' and 4 more are not among"),
    ],
)
def test_other_classes_are_named(found: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        match(found, ["sit", "run"])


def test_classes_without_names_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    numbers = ["0", "1", "2"]
    assert match(numbers, numbers) == [0, 1, 2]
    assert match(["0", "1"], numbers) == [0, 1]
    assert not caplog.records
    with pytest.raises(InputError, match=r"data\.pkl: has 4 classes, run has 3"):
        match([*numbers, "3"], numbers)
    assert match(["a", "b", "c"], numbers) == [0, 1, 2]
    assert "data.pkl names its classes, run has only their numbers" in caplog.text
    assert match(numbers, ["a", "b", "d"]) == [0, 1, 2]
    assert "run names its classes, data.pkl has only their numbers" in caplog.text
    # Which of the three are these?
    with pytest.raises(InputError, match=r"data\.pkl: has 2 classes, run has 3"):
        match(["a", "b"], numbers)


def test_a_warning_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        class_numbers(["up", "down"], ["down", "up"], "other.pkl", "run")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
