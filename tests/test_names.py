"""The names that are known without torch are those of the registries."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pyg_stgcn import datasets
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import list_models
from pyg_stgcn.names import (
    AUGMENTATIONS,
    BACKBONES,
    PARTITIONS,
    check_partition,
    check_skeleton_name,
    list_skeletons,
)
from pyg_stgcn.runs.augmentation import make_augmentations
from pyg_stgcn.runs.options import METHODS, OPTIONS, RELEASED
from pyg_stgcn.skeletons import get_skeleton
from pyg_stgcn.sparsity import ALLOCATIONS, SCHEDULES, STRUCTURES
from pyg_stgcn.sparsity import METHODS as MASKS

NTU = get_skeleton("ntu25")


def test_datasets_have_their_own_names_and_descriptions() -> None:
    assert list(datasets.DATASETS) == list(datasets.NAMES)
    assert all(kind.name == name for name, kind in datasets.DATASETS.items())
    for name, line in datasets.describe_datasets().items():
        module = sys.modules[datasets.DATASETS[name].__module__]
        assert (module.__doc__ or "").startswith(line) and line.endswith(".")


def test_models_masks_and_augmentations() -> None:
    assert list(BACKBONES) == list_models()
    assert {*METHODS} == {*MASKS, RELEASED}
    choices = {name: option.choices for name, option in OPTIONS.items()}
    assert {*choices["schedule"]} == {*SCHEDULES}
    assert {*choices["structure"]} == {*STRUCTURES}
    assert {*choices["allocation"]} == {*ALLOCATIONS}
    assert len(make_augmentations(AUGMENTATIONS, NTU)) == len(AUGMENTATIONS)


@pytest.mark.parametrize("name", [*PARTITIONS, "distance-1", "distance-3"])
def test_every_partition_makes_a_graph(name: str) -> None:
    check_partition(name)
    assert NTU.graph(name).num_joints == 25


@pytest.mark.parametrize("name", ["", "distance-k", "distance-0", "spacial"])
def test_other_partitions_do_not(name: str) -> None:
    for check in (check_partition, NTU.graph):
        with pytest.raises(InputError, match=f"partition '{name}': there is no such partition"):
            check(name)


def test_skeletons_are_names_or_files() -> None:
    for name in (*list_skeletons(), "a/b", "missing.json"):
        check_skeleton_name(name)
    with pytest.raises(InputError, match=r"'ntu2': there is no such .* \(did you mean 'ntu25'\?\)"):
        check_skeleton_name("ntu2")


def test_torch_is_not_imported_for_a_name() -> None:
    program = """if True:
    import sys
    from click.testing import CliRunner
    from pyg_stgcn.cli import main

    for line in sys.stdin.read().splitlines():
        result = CliRunner().invoke(main, line.split())
        heavy = [name for name in ("torch", "numpy", "matplotlib") if name in sys.modules]
        assert not heavy, (line, heavy)
        assert isinstance(result.exception, SystemExit | None), line
        print(result.exit_code, result.output.splitlines()[-1])
    """
    lines = {
        "datasets list": "0 Other data",
        "--help": "0   watch",
        "train --help": "0 ",
        "lottery --help": "0 ",
        "evaluate --help": "0 ",
        "trian": "2 .*did you mean 'train'",
        "datasets lst": "2 .*did you mean 'list'",
        "datasets info utd": "2 .*did you mean 'utd-mhad'",
        "datasets info a.pkl --skeleton ntu2": "2 .*did you mean 'ntu25'",
        "train --dataset ntu6": "2 .*did you mean 'ntu60'",
        "train --dataset ntu60 --backbone stgc": "2 .*did you mean 'stgcn'",
        "train --dataset ntu60 --stream joint+bones": "2 .*did you mean 'bone'",
        "train --dataset ntu60 --graph spacial": "2 .*did you mean 'spatial'",
        "train --dataset ntu60 --skeleton ntu2": "2 .*did you mean 'ntu25'",
        "train --dataset ntu60 --method feedbak": "2 .*did you mean 'feedback'",
        "train --dataset ntu60 --schedule cubc": "2 .*did you mean 'cubic'",
        "train --dataset ntu60 --augment miror": "2 .*did you mean 'mirror'",
        "train --dataset ntu60 --epochz 3": "2 .*Did you mean.*--epochs",
        "sweep --dataset synthetik": "2 .*did you mean 'synthetic'",
        "sweep --dataset synthetic --methods rigl magnitud": "2 .*did you mean 'magnitude'",
        "lottery --dataset ntu6": "2 .*did you mean 'ntu60'",
        "assemble --dataset ntu60 --levels 0 --experts aagn": "2 .*did you mean 'aagcn'",
        "profile stgcnp": "2 .*did you mean 'stgcnpp'",
        "profile stgcn --graph unifrm": "2 .*did you mean 'uniform'",
        "evaluate test": "1 .*did you mean 'tests'",
    }
    found = subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=datasets.__path__[0] + "/..",
    )
    assert found.returncode == 0, found.stderr
    for (line, expected), said in zip(lines.items(), found.stdout.splitlines(), strict=True):
        assert re.match(expected, said), (line, said)
