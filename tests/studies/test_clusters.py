"""Real job systems on this machine: submitit's local one, and a Ray cluster of two nodes."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
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
EPOCHS = 6
LABELS = ("dense-seed3", "random-0.8-seed3")


def call(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def words(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A sweep of two runs."""
    root = tmp_path_factory.mktemp("data")
    size = ["--channels", 2, "--clip-frames", 8, "--epochs", EPOCHS, "--batch-size", 36]
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
def expected(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep without a cluster, trained in this process."""
    out = tmp_path_factory.mktemp("here")
    for line in call(*words, "--out", out, "--print-commands").stdout.splitlines():
        call(*line.split()[1:])
    call(*words, "--out", out)
    return out


def kill(*processes: int) -> None:
    """End processes at once; those that depend on another may have ended with it."""
    for number in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


class Processes:
    """Processes with their parents and words, from /proc."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self.words: dict[int, bytes] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words, stat = (process / "cmdline").read_bytes(), (process / "stat").read_text()
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                self.words[int(process.name)] = words
                self.parents[int(process.name)] = int(parent)

    def training(self, folder: Path) -> tuple[int, int, int]:
        """The training in a run directory, its parent, and the parent of that."""
        own = [number for number, words in self.words.items() if os.fsencode(folder) in words]
        (first,) = [number for number in own if self.parents[number] not in own]
        parent = self.parents[first]
        return first, parent, self.parents[parent]


@pytest.fixture
def in_the_middle(
    wait_for: Callable[[Callable[[], object]], None],
) -> Iterator[Callable[[Callable[[], object], Callable[[], None]], None]]:
    """Do something in another thread as soon as something has happened."""
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []

    def start(happened: Callable[[], object], act: Callable[[], None]) -> None:
        def wait_and_act() -> None:
            try:
                wait_for(happened)
                act()
            except BaseException as error:
                failures.append(error)

        threads.append(threading.Thread(target=wait_and_act, daemon=True))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(timeout=600)
    assert not failures


def checkpoint(out: Path, label: str) -> Path:
    """The last checkpoint of a run."""
    return out / label / "checkpoints/last.ckpt"


def check_continued(out: Path, label: str) -> None:
    """A run has begun twice, the second time from a checkpoint."""
    log = (out / f"launcher/{label}.log").read_text()
    assert len(re.findall("^-- ", log, re.MULTILINE)) == 2
    first, again = (
        re.findall(r"^epoch +(\d+)/", part, re.MULTILINE) for part in log.split("\n-- ")
    )
    assert first[0] == "1" and again[0] > "1" and again[-1] == str(EPOCHS)


def test_a_killed_job_of_submitit_continues(
    words: list[object], expected: Path, tmp_path: Path, in_the_middle: Callable[..., None]
) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    kept, lost = LABELS

    def lose_job() -> None:
        training, job, controller = Processes().training(tmp_path / lost)
        kill(controller, job, training)

    shutil.copytree(expected / kept, tmp_path / kept)
    in_the_middle(checkpoint(tmp_path, lost).exists, lose_job)
    own = ["--launcher", "slurm", "--launcher-option", "cluster=local", "--out", tmp_path]
    said = call(*words, *own).stderr
    assert said.startswith("sweep: 1 of 2 runs finished\n") and kept not in said
    assert said.count(" was lost: ") == 1
    check_continued(tmp_path, lost)
    assert table(tmp_path) == table(expected)
    assert not list(tmp_path.glob("launcher/*.lease*"))


@pytest.fixture
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes, each with room for one run."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False})
    cluster.add_node()
    yield cluster
    cluster.shutdown()
    signal.signal(signal.SIGTERM, before)  # Ray sets its own.


def test_runs_of_a_lost_node_of_ray_continue_on_another(
    words: list[object],
    expected: Path,
    tmp_path: Path,
    ray_cluster: Any,
    in_the_middle: Callable[..., None],
) -> None:
    (node,) = ray_cluster.worker_nodes
    (raylet,) = [info.process.pid for info in node.all_processes["raylet"]]
    lost: list[str] = []

    def is_in_the_middle() -> bool:
        """Whether the run on the second node has a checkpoint."""
        ready = [label for label in LABELS if checkpoint(tmp_path, label).exists()]
        found = Processes()
        lost[:] = [each for each in ready if found.training(tmp_path / each)[2] == raylet]
        return bool(lost)

    def lose_node() -> None:
        training, worker, _ = Processes().training(tmp_path / lost[0])
        kill(raylet, worker, training)
        ray_cluster.remove_node(node, allow_graceful=False)

    in_the_middle(is_in_the_middle, lose_node)
    own = ["--launcher", "ray", "--launcher-option", f"address={ray_cluster.address}"]
    said = call(*words, *own, "--out", tmp_path).stderr
    assert re.findall(r"^(\S+) on \S+ was lost: ", said, re.MULTILINE) == lost
    check_continued(tmp_path, lost[0])
    # The other node was not disturbed.
    assert said.count("start of ") == 3 and said.count("end of ") == 2
    assert table(tmp_path) == table(expected)
    assert not list(tmp_path.glob("launcher/*.lease*"))
