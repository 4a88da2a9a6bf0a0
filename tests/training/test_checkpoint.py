from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pyg_stgcn.training.checkpoint import AtomicCheckpointIO


def test_round_trip_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    for step in (1, 2):
        AtomicCheckpointIO().save_checkpoint({"step": step, "w": torch.arange(3)}, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert loaded["step"] == 2 and torch.equal(loaded["w"], torch.arange(3))
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files with setrlimit")
def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)
    before = path.read_bytes()
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from pyg_stgcn.training.checkpoint import AtomicCheckpointIO\n"
        "try: AtomicCheckpointIO().save_checkpoint({'w': torch.zeros(100_000)}, sys.argv[1])\n"
        "except OSError as error: print(error.filename)"
    )

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], preexec_fn=limit, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(path), done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
