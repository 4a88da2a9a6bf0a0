"""Trainings on two machines, which are two network namespaces of this one."""

from __future__ import annotations

import csv
import json
import os
import pickle
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pyg_stgcn.runs.checkpoint import read_checkpoint

HERE = Path(__file__).resolve().parent
TWO_HOSTS = runpy.run_path(str(HERE.parents[1] / "benchmarks" / "two_hosts.py"))
WaitFor = Callable[[Callable[[], object]], None]

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(TWO_HOSTS["why_not"]() is not None, reason=str(TWO_HOSTS["why_not"]())),
]


class Machines:
    """Starts the command line on two hosts."""

    def __init__(self, hosts: Any, folder: Path, data: Path) -> None:
        self.hosts, self.folder, self.data = hosts, folder, data
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "two_machines.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"},
        )
        self._port = 29500

    def _ask(self, **order: Any) -> int:
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps(order), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def command(self, out: Path, *more: str) -> list[str]:
        words = f"train --dataset {self.data} --backbone aagcn --channels 2 --stages 2 --epochs 5"
        words += " --inflate-stages 2 --down-stages 2 --clip-frames 6 --batch-size 16 --lr 0.1"
        words += " --sparsity 0.5 --class-weights balanced --precision 64-true --eval-views 1"
        words += f" --sync-batchnorm --accelerator cpu --devices 1 --out {out}"
        return [*words.split(), *more]

    def start(self, host: int | None, argv: list[str], log: Path) -> int:
        env = {"MASTER_ADDR": self.hosts.addresses[0], "MASTER_PORT": str(self._port)}
        env["NODE_RANK"] = str(host)
        name = None if host is None else self.hosts.names[host]
        return self._ask(host=name, env={} if host is None else env, argv=argv, log=str(log))

    def start_both(self, name: str, *more: str, other: tuple[str, ...] = ()) -> list[int]:
        """The first machine has the folder ``NAME``; the other one would write to ``NAME-1``."""
        self._port += 1
        outs = [self.folder / name, self.folder / f"{name}-1"]
        both = ("--num-nodes", "2", *more)
        commands = [self.command(outs[0], *both), self.command(outs[1], *both, *other)]
        logs = [out.with_suffix(".log") for out in outs]
        places = enumerate(zip(commands, logs, strict=True))
        return [self.start(host, command, log) for host, (command, log) in places]

    def wait(self, pids: list[int]) -> list[int]:
        return [self._ask(pid=pid) for pid in pids]

    def output(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        self._server.kill()


@pytest.fixture(scope="module")
def machines(tiny_pickle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    folder = tmp_path_factory.mktemp("machines")
    content = pickle.loads(tiny_pickle.read_bytes())
    moved = content["split"]["xsub_train"].pop()  # 35 clips: the last batch is 2 + 1 clips.
    content["split"]["xsub_val"].append(moved)
    data = folder / "tiny.pkl"
    data.write_bytes(pickle.dumps(content))
    with TWO_HOSTS["TwoHosts"](os.getpid() % 250) as hosts:
        machines = Machines(hosts, folder, data)
        yield machines
        machines.stop()


@pytest.fixture(scope="module")
def undisturbed(machines: Machines) -> Path:
    pids = machines.start_both("whole")
    assert machines.wait(pids) == [0, 0], machines.output("whole") + machines.output("whole-1")
    return machines.folder / "whole"


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = read_checkpoint(run / "checkpoints" / "last.ckpt", "")["state_dict"]
    assert found
    return found


def table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def test_two_machines_compute_what_one_process_computes(
    machines: Machines, undisturbed: Path
) -> None:
    one = machines.folder / "one"
    pid = machines.start(None, machines.command(one), machines.folder / "one.log")
    assert machines.wait([pid]) == [0], machines.output("one")
    expected, found = weights(one), weights(undisturbed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=1e-9, msg=name)
    # Metrics are over the clips of both machines.
    for row, other in zip(table(undisturbed), table(one), strict=True):
        assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=1e-5)
        assert row["val_top1"] == other["val_top1"]
    assert not (machines.folder / "whole-1").exists()


def test_a_killed_machine_ends_the_other_and_both_go_on(
    machines: Machines, undisturbed: Path, wait_for: WaitFor
) -> None:
    pids = machines.start_both("killed")
    run = machines.folder / "killed"
    wait_for(lambda: (run / "checkpoints" / "previous.ckpt").exists())
    os.kill(pids[1], signal.SIGKILL)
    assert machines.wait(pids) == [1, -signal.SIGKILL]
    errors = [line for line in machines.output("killed").splitlines() if "rror" in line]
    other = machines.hosts.names[1]
    assert len(errors) == 1 and f"{other} (machine 1)" in errors[0]
    assert f"--resume --out {run}" in errors[0]
    assert not list(run.rglob(".*.*.*")) and not (run / "summary.json").exists()
    assert len(table(run)) < 5
    # The other machine has no folder of the run.
    pids = machines.start_both("killed", "--resume")
    assert machines.wait(pids) == [0, 0], machines.output("killed") + machines.output("killed-1")
    assert table(run) == table(undisturbed)
    expected, found = weights(undisturbed), weights(run)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_broken_network_ends_both(machines: Machines, wait_for: WaitFor) -> None:
    pids = machines.start_both("cut", "--epochs", "4000")
    wait_for(lambda: (machines.folder / "cut" / "checkpoints" / "last.ckpt").exists())
    machines.hosts.connect(False)
    try:
        assert machines.wait(pids) == [1, 1]
    finally:
        machines.hosts.connect(True)
    a, b = machines.hosts.names
    assert f"{b} (machine 1) has given no sign of life" in machines.output("cut")
    assert f"{a} (machine 0)" in machines.output("cut-1")


def test_different_commands_are_refused_on_both(machines: Machines) -> None:
    a, b = machines.hosts.names
    for other, message in (
        (("--seed", "1"), f"--seed 0 on {a} (machine 0), but 1 on {b} (machine 1); give"),
        (("--root", "/proc/none"), f"{b} (machine 1) has stopped: "),
    ):
        assert machines.wait(machines.start_both("refused", other=other)) != [0, 0]
        assert message in machines.output("refused")
        assert not (machines.folder / "refused").exists()
