from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose, ToUndirected

from pyg_stgcn.datasets.fingerprint import describe_transform, file_fingerprint, same_file


class Scale(BaseTransform):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, data: Data) -> Data:
        return data


def multiply(factor: float) -> Callable[[Any], Any]:
    return lambda data: data * factor


def test_a_file_is_known_by_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    fingerprint = file_fingerprint(path)
    assert same_file(path, fingerprint)
    os.utime(path, (1, 1))
    assert same_file(path, fingerprint)
    path.write_bytes(b"12354")
    assert not same_file(path, fingerprint)
    path.write_bytes(b"123456")
    assert not same_file(path, fingerprint)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, Scale(1)),
        (Scale(1), Scale(2)),
        (multiply(1), multiply(2)),
        (lambda data: data + 1, lambda data: data - 1),
        (lambda data: data + 1, lambda data: data + 2),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (Compose([Scale(1), Scale(2)]), Compose([Scale(2), Scale(1)])),
        (ToUndirected("add"), ToUndirected("mean")),
    ],
)
def test_different_transforms_are_told_apart(one: Any, other: Any) -> None:
    assert describe_transform(one) != describe_transform(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Scale(1),
        lambda: multiply(3),
        lambda: Compose([Scale(1), multiply(2)]),
        lambda: functools.partial(multiply(1), 2),
        lambda: object(),
    ],
)
def test_equal_transforms_are_the_same(make: Callable[[], Any]) -> None:
    one, other = make(), make()
    assert describe_transform(one) == describe_transform(other)
