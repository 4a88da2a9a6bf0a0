"""The meeting of machines, all of them in this process."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pyg_stgcn.errors import InputError
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.runs.processes import is_first_process
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.training import heartbeat
from pyg_stgcn.training.addresses import interface_of, own_address
from pyg_stgcn.training.agreement import describe, find_difference
from pyg_stgcn.training.machines import MachineLostError, Machines, cluster_environment

VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")  # A choice of the user stays.


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def enter(rank: int, port: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Machines:
    for name, value in zip(VARIABLES, ("127.0.0.1", port, rank), strict=False):
        monkeypatch.setenv(name, str(value))
    return Machines(cluster_environment(2), 2, **options)


def plan(**changes: Any) -> dict[str, Any]:
    skeleton = get_skeleton("coco17")
    part = {"clips": "1", "coordinates": "2"}
    data = {"skeleton": skeleton.to_dict(), "classes": ["a", "b"], "in_channels": 3}
    data |= {"train": part, "val": part, "train_clips": 2, "val_clips": 1}
    data |= changes.pop("data", {})
    versions = {"torch": "2.13", "platform": changes.pop("platform", "x")}
    versions |= changes.pop("versions", {})
    resume = changes.pop("resume", False)
    config = TrainOptions.of(**{"dataset": "/here/mine.pkl", **changes})
    metadata = {"data": data, "versions": versions}
    run = Run(Path("run"), config, skeleton, ["a", "b"], 3, metadata)
    return describe(run, resume=resume, checkpoint=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.2}, "lr None on one, but 0.2 on two; give all machines the same options"),
        ({"devices": "2"}, "devices auto on one, but 2 on two"),
        ({"resume": True}, "resume: given on two, but not on one"),
        ({"data": {"train_clips": 3}}, "number of train clips has changed from 2 to 3; copy the"),
        ({"data": {"val": {"clips": "1", "coordinates": "3"}}}, "coordinates of the val clips"),
        ({"versions": {"torch": "2.12"}}, "torch 2.13 on one, but 2.12 on two; install"),
        # Of no importance: places of files, the system, and the processes that load the data.
        ({"dataset": "/there/mine.pkl", "platform": "y", "num_workers": 3, "root": "/r"}, None),
    ],
)
def test_differences_between_machines_are_named(
    changes: dict[str, Any], message: str | None
) -> None:
    found = find_difference(plan(), plan(**changes), "one", "two")
    assert found is None if message is None else found is not None and message in found


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "num_nodes 3: MASTER_ADDR is not set; .* NODE_RANK from 0 to 2; or start with tor"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1"}, "NODE_RANK is not set"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "3"}, "NODE_RANK is '3'"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "x", "NODE_RANK": "1"}, "MASTER_PORT is 'x'"),
    ],
)
def test_missing_variables_are_named(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        cluster_environment(3)


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
        ({"GROUP_RANK": "0", "LOCAL_RANK": "0"}, True),  # torchrun
        ({"GROUP_RANK": "1", "LOCAL_RANK": "0"}, False),
        ({"SLURM_NODEID": "1", "SLURM_LOCALID": "0"}, False),
        ({"SLURM_NODEID": "0", "SLURM_LOCALID": "1"}, False),
    ],
)
def test_the_first_process_of_several_launchers(
    variables: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process(2) is first


def test_two_machines_meet_and_hear_why_one_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT", 0.05)
    first, second = (enter(rank, port, monkeypatch) for rank in (0, 1))
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(second.meet(plan())))
    thread.start()
    mine = plan() | {"checkpoint": "last.ckpt"}
    assert first.meet(mine)["checkpoint"] == "last.ckpt"
    thread.join()
    assert found == [mine]
    first.check()
    second.leave("the disk is full")
    host = socket.gethostname()
    with pytest.raises(MachineLostError, match=rf"{host} \(machine 1\) has stopped: the disk"):
        while True:
            first.check()
    first.leave(None)


def test_a_number_is_given_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first = enter(0, port, monkeypatch)
    second = enter(1, port, monkeypatch)
    with pytest.raises(InputError, match="NODE_RANK 1: another machine or training has this"):
        enter(1, port, monkeypatch)
    for machine in (first, second):
        machine.leave(None)


def test_absent_machines_are_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="the first machine did not answer within 0 s; start the"):
        enter(1, port, monkeypatch, patience=0.2)
    first = enter(0, port, monkeypatch, patience=0.2)
    with pytest.raises(InputError, match="num_nodes 2: machine 1 did not start within 0 s"):
        first.meet(plan())
    first.leave(None)


def test_addresses_of_this_machine() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"
    if Path("/sys/class/net/lo").exists():
        assert interface_of("127.0.0.1") == "lo"
    assert interface_of("203.0.113.7") is None
