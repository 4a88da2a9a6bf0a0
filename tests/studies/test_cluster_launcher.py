"""What becomes of runs on a cluster; its job system is a list here."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.studies import cluster_launcher
from pyg_stgcn.studies.attempt import Attempt
from pyg_stgcn.studies.cluster_launcher import ClusterLauncher, Engine
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.launching import Report, run_jobs


class ListOfJobs(Engine):
    """Calls a function for each submitted attempt; a handle is its number.

    Args:
        function: Returns how the job has ended.
    """

    def __init__(self, function: Callable[[Attempt], str | None]) -> None:
        self.function = function
        self.submitted: list[str] = []
        self.ends: list[str | None] = []
        self.cancelled: list[int] = []
        self.most = 0

    def threads(self, parallel: int, jobs: int) -> int | None:
        return 1

    def submit(self, attempts: Sequence[Attempt], parallel: int) -> Sequence[int]:
        first = len(self.submitted)
        self.submitted += [attempt.label for attempt in attempts]
        self.most = max(self.most, len(attempts))
        self.ends += [self.function(attempt) for attempt in attempts]
        return range(first, len(self.submitted))

    def end(self, handle: int) -> str | None:
        return self.ends[handle]

    def cancel(self, handles: Sequence[int]) -> None:
        self.cancelled += handles


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_launcher, "POLL", 0.01)
    monkeypatch.setattr(cluster_launcher, "_PATIENCE", 0.1)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    options: dict[str, Any] = {"dataset": "synthetic"}
    return [Job(name, tmp_path / name, options) for name in "abc"]


def wrote(attempt: Attempt, code: int | None) -> None:
    """Leave what a training on the node "n1" would leave; a finished run with the code 0."""
    state = json.dumps({"host": "n1", "started": time.time(), "code": code})
    (attempt.folder / f"{attempt.label}.json").write_text(state)
    if code == 0:
        attempt.run.mkdir()
        (attempt.run / "summary.json").write_text("{}")


def finish(attempt: Attempt) -> str:
    wrote(attempt, 0)
    return "done"


def launch(engine: Engine, jobs: Sequence[Job], parallel: int = 1, retries: int = 2) -> None:
    launcher = ClusterLauncher(engine, jobs[0].folder.parent / "launcher", retries)
    run_jobs(jobs, launcher, parallel)


@pytest.mark.parametrize(("queues", "most"), [(False, 2), (True, 3)])
def test_no_more_runs_at_a_time_than_asked_for(
    queues: bool, most: int, jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    """A job system that holds back jobs itself gets all at once."""
    engine = ListOfJobs(finish)
    engine.queues = queues
    (jobs[0].folder.parent / "launcher").mkdir()
    for job in jobs:  # Left by an earlier call.
        wrote(Attempt(job.label, (), job.folder, jobs[0].folder.parent / "launcher"), None)
    with caplog.at_level("INFO", "pyg_stgcn"):
        launch(engine, jobs, parallel=2)
    assert (engine.most, engine.submitted, engine.cancelled) == (most, ["a", "b", "c"], [])
    assert [line for line in caplog.messages if line.startswith("start")] == [
        f"start of {name} on n1: run {number} of 3" for number, name in enumerate("abc", 1)
    ]
    assert caplog.messages[-1] == "end of c: 3 of 3 runs finished"


def test_a_lost_run_is_submitted_again(jobs: list[Job], caplog: pytest.LogCaptureFixture) -> None:
    """With its node, without a sign of life; and killed, with the exit code of its signal."""
    ends = iter(["NodeDied", "killed", "done"])

    def train(attempt: Attempt) -> str:
        end = next(ends)
        wrote(attempt, {"NodeDied": None, "killed": -9, "done": 0}[end])
        return end

    engine = ListOfJobs(train)
    with caplog.at_level("INFO", "pyg_stgcn"):
        launch(engine, jobs[:1])
    assert engine.submitted == ["a", "a", "a"]
    first, lost, again, killed, _, last = caplog.messages
    assert first == "start of a on n1: run 1 of 1"
    assert lost == "a on n1 was lost: NodeDied; it starts again, 1 of at most 2 times"
    assert again == "start of a on n1: again"
    assert killed == "a on n1 was lost: killed by SIGKILL; it starts again, 2 of at most 2 times"
    assert last == "end of a: 1 of 1 run finished"


def test_a_run_is_not_lost_for_ever(jobs: list[Job]) -> None:
    engine = ListOfJobs(lambda attempt: "NodeDied")
    with pytest.raises(InputError, match=r"training a was lost 3 times, at last: NodeDied"):
        launch(engine, jobs[:1])
    assert engine.submitted == ["a"] * 3


def test_a_training_that_fails_by_itself_ends_the_others(
    jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    def train(attempt: Attempt) -> str | None:
        if attempt.label == "a":
            return None
        attempt.log.write_text("".join(f"line {number}\n" for number in range(30)))
        wrote(attempt, 1)
        return "done"

    engine = ListOfJobs(train)
    with (
        caplog.at_level("INFO", "pyg_stgcn"),
        pytest.raises(InputError, match=r"training b failed on n1, see above; .*/launcher/b\.log"),
    ):
        launch(engine, jobs, parallel=2)
    assert (engine.submitted, engine.cancelled) == (["a", "b"], [0])
    assert caplog.messages[-2:] == ["b: line 28", "b: line 29"]
    assert "b: line 14" not in caplog.messages


def test_a_signal_cancels_what_runs(jobs: list[Job]) -> None:
    signals: list[int] = []

    def train(attempt: Attempt) -> None:
        signals.append(2)

    engine = ListOfJobs(train)
    launcher = ClusterLauncher(engine, jobs[0].folder.parent / "launcher", retries=2)
    launcher.run(jobs, 1, Report(len(jobs)), signals)
    assert (engine.submitted, engine.cancelled) == (["a"], [0])


def test_a_run_that_still_trains_is_waited_for(
    jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    """Left by a study whose process was killed."""
    folder = jobs[0].folder.parent / "launcher"
    folder.mkdir()
    left = Attempt("a", (), jobs[0].folder, folder)
    lease = left.lease(thread_local=False)
    lease.acquire()
    wrote(left, None)

    def end() -> None:
        wrote(left, 0)
        lease.release()

    engine = ListOfJobs(finish)
    timer = threading.Timer(0.3, end)
    timer.start()
    with caplog.at_level("INFO", "pyg_stgcn"):
        launch(engine, jobs[:2], parallel=2)
    timer.join()
    assert engine.submitted == ["b"]
    assert "start of a on n1" in caplog.text and "end of a" in caplog.text


def test_a_result_may_become_visible_late(jobs: list[Job]) -> None:
    """File systems of clusters show a file on other machines after seconds."""
    timers: list[threading.Timer] = []

    def train(attempt: Attempt) -> str:
        wrote(attempt, 0)
        hidden = (attempt.run / "summary.json").rename(attempt.run / "hidden")
        timers.append(threading.Timer(0.2, hidden.rename, [attempt.run / "summary.json"]))
        timers[-1].start()
        return "done"

    engine = ListOfJobs(train)
    launch(engine, jobs[:1])
    assert engine.submitted == ["a"]


def test_a_job_that_finds_another_node_at_work_is_not_lost(
    jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    timers: list[threading.Timer] = []

    def train(attempt: Attempt) -> str:
        lease = attempt.lease(thread_local=False)
        lease.acquire()

        def end() -> None:
            wrote(attempt, 0)
            lease.release()

        timers.append(threading.Timer(0.2, end))
        timers[-1].start()
        return "done"

    engine = ListOfJobs(train)
    with caplog.at_level("INFO", "pyg_stgcn"):
        launch(engine, jobs[:1])
    assert engine.submitted == ["a"] and "lost" not in caplog.text


def test_a_job_of_a_killed_study_is_taken_over(jobs: list[Job]) -> None:
    """A job that waits for a node; one that has ended without a result is submitted again."""

    class Queue(ListOfJobs):
        def name(self, handle: int) -> str:
            return str(handle)

        def find(self, names: Sequence[str]) -> Sequence[int | None]:
            return [int(name) if self.ends[int(name)] is None else None for name in names]

    signals: list[int] = []
    engine = Queue(lambda attempt: signals.append(9))  # Killed while both jobs wait.
    launcher = ClusterLauncher(engine, jobs[0].folder.parent / "launcher", retries=2)
    launcher.run(jobs[:2], 2, Report(2), signals)
    engine.ends[1], engine.function = "lost", finish
    timer = threading.Timer(0.2, lambda: finish(Attempt("a", (), jobs[0].folder, launcher.folder)))
    timer.start()
    launch(engine, jobs[:2], parallel=2)
    timer.join()
    assert engine.submitted == ["a", "b", "b"]
    assert engine.cancelled[-1] == 0  # Another job has finished its run.


def test_runs_on_several_nodes_are_refused(tmp_path: Path) -> None:
    job = Job("a", tmp_path / "a", {"dataset": "synthetic", "num_nodes": 2})
    with pytest.raises(InputError, match="num_nodes: a launcher starts each run on one node"):
        launch(ListOfJobs(finish), [job])
