from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_have_the_permissions_of_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        weights = {"weight": torch.zeros(2)}
        write_atomically(tmp_path / "a.safetensors", lambda file: save_file(weights, file))
        write_atomically(tmp_path / "a.txt", lambda file: file.write_text("text"))
        (tmp_path / "plain").touch()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}


def test_pipes_sockets_and_devices_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # The path of a socket has to be short.
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path in ("pipe", "link", "socket", "/dev/zero"):
            with pytest.raises(InputError, match=rf"^{path}: is a pipe, socket or device"):
                check_is_file(Path(path))
    Path("file").touch()
    for path in ("file", ".", "missing"):
        check_is_file(Path(path))
