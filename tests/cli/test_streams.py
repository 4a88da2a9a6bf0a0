"""Standard output that is closed, that nobody reads any more, or that is full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: A table of rich, lines, JSON, and the help of all commands and of one.
COMMANDS = ["datasets list", "datasets list --json", "--help", "sweep --help"]
SCRIPT = 'from pyg_stgcn.cli import main; main(prog_name="pyg-stgcn")'


def call(command: str, redirect: str) -> tuple[int, str]:
    """Exit code and standard error of a command with a redirection of a shell."""
    words = ["sh", "-c", f'"$0" -c "$1" {command} {redirect}', sys.executable, SCRIPT]
    found = subprocess.run(words, stderr=subprocess.PIPE, text=True)
    return found.returncode, found.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(command: str) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-c", SCRIPT, *command.split()]
    found = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_and_is_named(command: str) -> None:
    code, said = call(command, ">/dev/full")
    assert code == 1 and "Traceback" not in said
    assert said.splitlines()[-1].startswith("Error: standard output: No space left on device; ")


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_like_the_null_device(redirect: str) -> None:
    assert call("datasets list", redirect)[0] == 0


def test_a_file_does_not_get_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = "import os, pyg_stgcn.cli as cli; cli.open_closed_streams(); print(os.open('f', 65))"
    words = ["sh", "-c", '"$0" -c "$1" 1>&- 2>&-', sys.executable, program]
    subprocess.run(words, cwd=tmp_path, check=True)
    assert (tmp_path / "f").read_bytes() == b""
