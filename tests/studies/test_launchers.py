from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyg_stgcn.cli import main
from pyg_stgcn.errors import InputError
from pyg_stgcn.studies.attempt import Attempt
from pyg_stgcn.studies.launchers import open_launcher, parse_launcher_options
from pyg_stgcn.studies.ray_engine import RayEngine
from pyg_stgcn.studies.slurm_engine import SlurmEngine


def test_values_have_the_types_of_their_options() -> None:
    words = ["time=600", "partition=gpu", "gpus_per_node=a100:2", "setup=module load x=1"]
    options = {"time": 600, "partition": "gpu", "gpus_per_node": "a100:2"}
    assert parse_launcher_options("slurm", words) == {**options, "setup": "module load x=1"}
    assert parse_launcher_options("ray", ["cpus=4", "gpus=0.25"]) == {"cpus": 4, "gpus": 0.25}


@pytest.mark.parametrize(
    ("launcher", "word", "problem"),
    [
        ("slurm", "partion=gpu", r"did you mean 'partition'\?"),
        ("ray", "partition=gpu", "there are address, retries, cpus"),
        ("local", "cpus=4", "there are none"),
        ("slurm", "time=1:00:00", "'1:00:00' is no number"),
        ("slurm", "time=0", "choose from whole numbers from 10 to"),
        ("slurm", "cluster=lokal", r"did you mean 'local'\?"),
        ("ray", "gpus=nan", "out of range"),
        ("ray", "address", "write address=VALUE"),
        ("ray", "address=", "write address=VALUE"),
    ],
)
def test_a_wrong_option_is_named(launcher: str, word: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        parse_launcher_options(launcher, [word])
    assert str(caught.value).startswith(f"launcher_options {word}: ")
    own = ["--launcher-option", word, "--launcher", launcher]
    for order in (own, [*own[2:], *own[:2]]):
        result = CliRunner().invoke(main, ["sweep", "--dataset", "synthetic", *order])
        assert result.exit_code == 2
        assert f"Error: --launcher-option {word}: " in result.stderr


@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_named(
    launcher: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    words = ["--dataset", "synthetic", "--out", str(tmp_path), "--launcher", launcher]
    for command in ("sweep", "assemble"):
        result = CliRunner().invoke(main, [command, *words])
        assert result.exit_code == 1
        assert result.stderr == (
            f"Error: --launcher {launcher} needs the package {package}: "
            f"pip install 'pyg-stgcn[{launcher}]'\n"
        )


def test_a_ray_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))  # Taken, but nobody listens.
        address = f"127.0.0.1:{port.getsockname()[1]}"
        attempt = Attempt("mine", (), tmp_path / "mine", tmp_path)
        with pytest.raises(InputError, match=f"no connection to a cluster at {address}"):
            RayEngine({"address": address}).submit([attempt], 1)


def test_without_slurm_there_is_a_way_to_try_things_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(InputError, match=r"no srun on this machine; .* cluster=local"),
        open_launcher("slurm", {}, tmp_path),
    ):
        pass


@pytest.mark.timeout(900)
def test_cancelled_jobs_of_this_machine_print_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    wait_for: Callable[[Callable[[], object]], None],
) -> None:
    pytest.importorskip("submitit", reason="the extra 'slurm' is not installed")
    engine = SlurmEngine(tmp_path / "submitit", {"cluster": "local"})
    (job,) = engine.submit([Attempt("mine", ("train",), tmp_path / "mine", tmp_path)], 1)
    wait_for(job.paths.stderr.exists)
    engine.cancel([job])
    assert engine.end(job) is not None
    assert capfd.readouterr().err == ""
    assert "KeyboardInterrupt" in (tmp_path / "submitit/jobs.err").read_text()
