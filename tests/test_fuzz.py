"""A few of the mutations of ``benchmarks/fuzz``: files are used, or refused with one error."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz"
#: Mutations of each kind of file.
COUNT = 12


@pytest.fixture(scope="module")
def trials() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARK)
        yield importlib.import_module("trials")


@pytest.fixture(scope="module")
def kinds(trials: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return importlib.import_module("kinds").make_kinds(tmp_path_factory.mktemp("fuzz"))


def test_every_kind_is_used_as_it_is(kinds: dict[str, Any]) -> None:
    for kind in kinds.values():
        kind.use()


def test_no_mutation_ends_in_a_traceback(
    trials: ModuleType,
    kinds: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # A mutated path may be relative.
    words: Counter[str] = Counter()
    for name, kind in kinds.items():
        for number in range(COUNT):
            outcome = trials.try_one(name, kind, number)
            assert outcome.word in ("accepted", "refused"), (name, number, outcome)
            assert outcome.bytes < 2**29, (name, number, outcome)
            words[outcome.word] += 1
    assert min(words["accepted"], words["refused"]) > len(kinds)
