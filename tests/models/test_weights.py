"""Files of weights: plain safetensors, and the ones that are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.models.weights import read_weights
from pyg_stgcn.sparsity import save_sparse


def test_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = {"w": torch.randn(3, 4), "b": torch.arange(3)}
    for metadata in (None, {"format": "pt"}, {"pyg_stgcn": "[]"}, {"pyg_stgcn": "{"}):
        save_file(state, path, metadata)
        found = read_weights(path, "name another file")
        assert found.keys() == state.keys()
        assert all(found[name].equal(value) for name, value in state.items())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("weights", r"sparse weights, not plain safetensors; read them with .*load_sparse, or"),
        ("ticket", r"a lottery ticket, not plain .*'pyg-stgcn train --ticket FILE', or"),
        ("recognizer", r"an exported model, not plain .*Recognizer\.load, or"),
    ],
)
def test_sparse_files_say_what_they_are(kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_sparse(path, {"w": torch.eye(20)}, kind=kind)
    with pytest.raises(InputError, match=rf"file\.safetensors: is {message} name another file"):
        read_weights(path, "name another file")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    with pytest.raises(InputError, match="there is no such file; name another"):
        read_weights(path, "name another file")
    with pytest.raises(InputError, match="is not a file; name another"):
        read_weights(tmp_path, "name another file")
    save_file({"w": torch.ones(30)}, path)
    content = path.read_bytes()
    for broken in (b"", b"{}", content[:-1], content[:40]):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="damaged"):
            read_weights(path, "name another file")
