"""Real job systems on this machine: submitit's local one, and a Ray cluster of two nodes."""

from __future__ import annotations

import csv
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyg_stgcn.cli import main

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc"),
]
LABELS = ("dense-seed3", "random-0.8-seed3")


def call(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def words(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A sweep of two runs."""
    root = tmp_path_factory.mktemp("data")
    size = ["--channels", 2, "--clip-frames", 8, "--epochs", 20, "--batch-size", 36]
    size += ["--eval-views", 1, "--accelerator", "cpu"]
    varied = ["--sparsities", 0, 0.8, "--methods", "random", "--seeds", 3, "--jobs", 2]
    return ["sweep", *varied, "--dataset", tiny_pickle, "--root", root, *size]


def table(out: Path) -> list[dict[str, str]]:
    """The result of a sweep but for its duration."""
    with (out / "sweep.csv").open() as stream:
        return [
            {name: row[name] for name in row if name != "minutes"} for row in csv.DictReader(stream)
        ]


@pytest.fixture(scope="module")
def expected(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The table of the same sweep without a cluster; trained in this process."""
    out = tmp_path_factory.mktemp("here")
    for line in call(*words, "--out", out, "--print-commands").stdout.splitlines():
        call(*line.split()[1:])
    call(*words, "--out", out)
    return table(out)


class Children:
    """Processes and their parents, from /proc."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self.commands: dict[int, bytes] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words, stat = (process / "cmdline").read_bytes(), (process / "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                self.commands[int(process.name)] = words
                self.parents[int(process.name)] = int(parent)

    def training(self, folder: Path) -> int:
        """The training in a run directory."""
        own = [n for n, words in self.commands.items() if os.fsencode(folder) in words]
        (first,) = [number for number in own if self.parents[number] not in own]
        return first


@pytest.fixture
def in_the_middle(
    wait_for: Callable[[Callable[[], object]], None],
) -> Iterator[Callable[[Path, Callable[[], None]], None]]:
    """Do something as soon as both runs of a sweep have saved a checkpoint."""
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def start(out: Path, act: Callable[[], None]) -> None:
        def wait_and_act() -> None:
            try:
                files = [out / label / "checkpoints/last.ckpt" for label in LABELS]
                wait_for(lambda: all(file.exists() for file in files))
                act()
            except BaseException as error:
                failures.append(error)

        threads.append(threading.Thread(target=wait_and_act, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(timeout=600)
    assert not failures


def check_one_run_continued(out: Path, said: str) -> None:
    """One run was lost, and continued from its checkpoint; the other one was not disturbed."""
    assert said.count(" was lost: ") == 1
    logs = [(out / f"launcher/{label}.log").read_text() for label in LABELS]
    assert sorted(len(re.findall("^-- ", log, re.MULTILINE)) for log in logs) == [1, 2]
    (again,) = [log.rpartition("\n-- ")[2] for log in logs if "\n-- " in log]
    assert "epoch 1/20" not in again and "epoch 20/20" in again
    assert not list(out.glob("launcher/*.lease*"))


def test_a_killed_job_of_submitit_continues(
    words: list[object],
    expected: list[dict[str, str]],
    tmp_path: Path,
    in_the_middle: Callable[[Path, Callable[[], None]], None],
) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")

    def kill() -> None:
        """Kill the job of the sparse run with its training; nobody can write how it ended."""
        found = Children()
        training = found.training(tmp_path / LABELS[1])
        job = found.parents[training]
        assert b"submitit" in found.commands[job]
        for number in (found.parents[job], job, training):
            os.kill(number, signal.SIGKILL)

    in_the_middle(tmp_path, kill)
    own = ["--launcher", "slurm", "--launcher-option", "cluster=local", "--out", tmp_path]
    result = call(*words, *own)
    check_one_run_continued(tmp_path, result.stderr)
    assert table(tmp_path) == expected
    again = call(*words, *own)
    assert "sweep: 2 of 2 runs finished" in again.stderr and "start of" not in again.stderr


@pytest.fixture
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes, each with room for one run."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False})
    cluster.add_node()
    yield cluster
    cluster.shutdown()


def test_runs_of_a_lost_node_of_ray_continue_on_another(
    words: list[object],
    expected: list[dict[str, str]],
    tmp_path: Path,
    ray_cluster: Any,
    in_the_middle: Callable[[Path, Callable[[], None]], None],
) -> None:
    def lose_node() -> None:
        (node,) = ray_cluster.worker_nodes
        ray_cluster.remove_node(node, allow_graceful=False)

    in_the_middle(tmp_path, lose_node)
    own = ["--launcher", "ray", "--launcher-option", f"address={ray_cluster.address}"]
    result = call(*words, *own, "--out", tmp_path)
    check_one_run_continued(tmp_path, result.stderr)
    assert table(tmp_path) == expected
