"""A few of the mutations of ``benchmarks/fuzz.py``: files are used, or refused with one error."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz.py"
#: Mutations of each kind of file.
COUNT = 12


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # Its dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def kinds(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fuzz.make_kinds(tmp_path_factory.mktemp("fuzz"))


def test_every_kind_is_used_as_it_is(kinds: dict[str, Any]) -> None:
    for kind in kinds.values():
        kind.use()


def test_no_mutation_ends_in_a_traceback(
    fuzz: ModuleType,
    kinds: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # A mutated path may be relative.
    words: Counter[str] = Counter()
    for name, kind in kinds.items():
        for number in range(COUNT):
            outcome = fuzz.try_one(name, kind, number)
            assert outcome.word in ("accepted", "refused"), (name, number, outcome)
            assert outcome.bytes < 2**29, (name, number, outcome)
            words[outcome.word] += 1
    assert min(words["accepted"], words["refused"]) > len(kinds)
