from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.studies import attempt as module
from pyg_stgcn.studies.attempt import Attempt


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """A training that fails at once, before it imports PyTorch."""
    (tmp_path / "launcher").mkdir()
    return Attempt("mine", ("train", "--nothing"), tmp_path / "mine", tmp_path / "launcher")


def test_the_end_of_a_training_is_kept_with_its_output(attempt: Attempt) -> None:
    assert attempt.state() is None
    attempt()
    state = attempt.state()
    assert state is not None and (state.host, state.code) == (socket.gethostname(), 2)
    attempt()
    again = attempt.state()
    assert again is not None and again.started > state.started
    first, *_, last = attempt.log.read_text().splitlines()
    assert first.endswith(f"on {socket.gethostname()}")
    assert "No such option '--nothing'" in last
    assert attempt.log.read_text().count("No such option") == 2
    attempt.forget_state()
    assert attempt.state() is None


def test_a_damaged_state_is_none(attempt: Attempt) -> None:
    for text in ("", "{}", '{"host": "a"', "[]"):
        (attempt.folder / "mine.json").write_text(text)
        assert attempt.state() is None


def test_a_finished_run_is_left_alone(attempt: Attempt) -> None:
    attempt.run.mkdir()
    (attempt.run / "summary.json").write_text("{}")
    attempt()
    assert attempt.state() is None and not attempt.log.exists()


def test_a_run_that_another_node_trains_is_left_alone(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.6)
    with attempt.lease(thread_local=False):
        attempt()
    assert attempt.state() is None and not attempt.log.exists()


def test_a_node_that_is_lost_is_replaced(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker of a machine that gives no sign of life any more."""
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.6)
    with attempt.lease() as lease:
        marker = Path(lease.lock_file).read_text()
    marker = marker.replace(socket.gethostname(), "elsewhere")
    (attempt.folder / "mine.lease").write_text(marker)
    attempt()
    state = attempt.state()
    assert state is not None and (state.host, state.code) == (socket.gethostname(), 2)
    assert not (attempt.folder / "mine.lease").exists()


def test_a_node_without_the_shared_folder_says_so(tmp_path: Path) -> None:
    attempt = Attempt("mine", ("train",), tmp_path / "mine", tmp_path / "missing")
    with pytest.raises(InputError, match=r"has no such folder; .* that all nodes share"):
        attempt()
