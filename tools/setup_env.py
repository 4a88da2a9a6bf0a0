"""Set up the project's environment: `.venv` with torch, torch-sparse, pyg-stgcn and its tools.

Run it with the Python that the environment shall use; it needs nothing but the standard library.
It is done once: later calls return at once until `pyproject.toml`, `constraints.txt`, this file or
the chosen torch change.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOG = VENV / "setup.log"
STAMP = VENV / "setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
# Without its torch pin where another torch was asked for.
USED_CONSTRAINTS = VENV / "constraints.txt"

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYG_WHEELS = "https://data.pyg.org/whl/torch-{release}+{device}.html"
COMPILED = ("torch-scatter", "torch-sparse")
# What is there may have been built for another torch.
AGAIN = ("--no-deps", "--force-reinstall")
COMPILER_HELP = """\
torch-scatter and torch-sparse are C++ and have no prebuilt wheel for this torch here. They need
  - a C++ compiler: `apt install g++`, `dnf install gcc-c++`, on macOS `xcode-select --install`;
  - the headers of Python: `apt install python3-dev`, `dnf install python3-devel`;
  - about 3 GB of free memory; with less, run MAX_JOBS=1 make ...
Or choose a torch with prebuilt wheels (https://data.pyg.org/whl), e.g. make TORCH=2.8.0 ..."""
SPARSE_CHECK = """\
import torch, torch_scatter
from torch_sparse import SparseTensor
assert torch.equal(SparseTensor.eye(3) @ torch.ones(3, 1), torch.ones(3, 1))
"""
TORCH_VERSION = "from importlib.metadata import version; print(version('torch'))"
TORCH_BUILD = """\
import torch
print(torch.__version__.split("+")[0])
print("cu" + torch.version.cuda.replace(".", "") if torch.version.cuda else "cpu")
"""
HEARTBEAT_SECONDS = 30
PROBE_SECONDS = 5


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


def wait_a_while(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code, or None if the process still runs after a heartbeat."""
    try:
        return process.wait(timeout=HEARTBEAT_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def run(title: str, command: list[str], note: str = "", help_text: str = "") -> None:
    """Run a step with its output in the log, and show that it lives while it lasts."""
    say(f"{title}{note}")
    start = time.monotonic()
    # torch's build looks for the environment's ninja on the path.
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    with LOG.open("a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        begin = log.tell()
        process = subprocess.Popen(
            command, cwd=VENV, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while (code := wait_a_while(process)) is None:
                minutes, seconds = divmod(int(time.monotonic() - start), 60)
                say(f"  still at it after {minutes}:{seconds:02d}")
        except KeyboardInterrupt:
            process.terminate()
            raise
    if code:
        with LOG.open() as log:
            log.seek(begin)
            tail = "".join(log.readlines()[-25:])
        raise SetupError(f"{title} failed. The end of {LOG}:\n\n{tail}\n{help_text}".rstrip())


def pip(title: str, *arguments: str, note: str = "", help_text: str = "") -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments]
    run(title, command, note, help_text)


def install(title: str, *arguments: str, note: str = "", help_text: str = "") -> None:
    options = ("--no-build-isolation", "-c", str(USED_CONSTRAINTS))
    pip(title, "install", *options, *arguments, note=note, help_text=help_text)


def answer(code: str) -> str | None:
    """What the environment's Python prints for `code`, None if it fails."""
    done = subprocess.run([str(PYTHON), "-c", code], cwd=VENV, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, method="HEAD"), timeout=PROBE_SECONDS
        ):
            return True
    except OSError:
        return False


def digest(torch: str | None, index: str | None) -> str:
    """Everything that the environment was made from."""
    inputs = [json.dumps([str(ROOT), platform.python_version_tuple()[:2], torch, index])]
    kernels = sorted((ROOT / "pyg_stgcn/runtime/kernels").iterdir())
    for path in (ROOT / "pyproject.toml", ROOT / "setup.py", CONSTRAINTS, Path(__file__), *kernels):
        inputs.append(path.read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()


def read_stamp() -> dict[str, str | None]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def make_venv() -> None:
    """Create `.venv` unless a working one of the running Python's version is there."""
    have = answer("import platform; print(platform.python_version())") if PYTHON.exists() else None
    if have is None:
        say(f"creating {VENV} with Python {platform.python_version()} ({sys.executable})")
        try:
            venv.create(VENV, clear=True, symlinks=os.name != "nt", with_pip=True)
        except (subprocess.CalledProcessError, ImportError) as error:
            shutil.rmtree(VENV, ignore_errors=True)
            raise SetupError(
                f"{sys.executable} cannot make a virtual environment ({error}).\n"
                "On Debian and Ubuntu: apt install python3-venv"
            ) from error
    elif have.split(".")[:2] != platform.python_version().split(".")[:2]:
        raise SetupError(
            f".venv holds Python {have.strip()}, but {sys.executable} is "
            f"{platform.python_version()}.\nFor a new environment run `make clean` first."
        )


def install_torch(torch: str | None, index: str | None) -> None:
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines(keepends=True)
    if torch is not None:
        lines = [line for line in lines if not line.startswith("torch==")]
    USED_CONSTRAINTS.write_text("".join(lines), encoding="utf-8")
    build_tools = ("setuptools", "wheel", "ninja", "numpy", "scipy")
    install("installing the build tools", *build_tools)

    arguments = ["torch" if torch is None else f"torch=={torch}"]
    note = ""
    if index is not None:
        arguments += ["--extra-index-url", index]
    elif sys.platform == "linux" and answer(TORCH_VERSION) is None:
        # The package registry's torch for Linux carries gigabytes of CUDA libraries.
        if reachable(CPU_INDEX):
            arguments += ["--extra-index-url", CPU_INDEX]
        else:
            note = " (PyTorch's CPU index does not answer; the registry's build may be 3 GB)"
    install("installing torch", *arguments, note=note)


def cached_wheels() -> bool:
    """Whether pip kept the two wheels of an earlier compile for this Python."""
    tag = f"-cp{sys.version_info[0]}{sys.version_info[1]}-"
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "cache", "list", "--format", "abspath"],
        capture_output=True,
        text=True,
    ).stdout
    names = [Path(line).name for line in listing.splitlines() if tag in line]
    return all(any(n.startswith(c.replace("-", "_")) for n in names) for c in COMPILED)


def check_compiler() -> None:
    compiler = os.environ.get("CXX", "c++").split()[0]
    if shutil.which(compiler) is None and shutil.which("g++") is None:
        raise SetupError(f"no C++ compiler found ({compiler}).\n{COMPILER_HELP}")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        raise SetupError(f"the headers of Python are missing ({header}).\n{COMPILER_HELP}")


def install_prebuilt(page: str) -> None:
    wheels = ("--no-index", "--only-binary", ":all:", "--find-links", page)
    install(f"installing torch-scatter and torch-sparse from {page}", *wheels, *AGAIN, *COMPILED)


def compile_sparse() -> None:
    if cached_wheels():
        install("installing torch-scatter and torch-sparse, compiled earlier", *AGAIN, *COMPILED)
        if answer(SPARSE_CHECK) is not None:
            return
        say("they do not fit this torch and are compiled again")
        for name in COMPILED:
            pip(f"forgetting the old wheel of {name}", "cache", "remove", name.replace("-", "_"))
    if os.name != "nt":
        check_compiler()
    for number, name in enumerate(COMPILED, start=1):
        install(
            f"compiling {name}",
            *AGAIN,
            name,
            note=f" ({number} of 2); once on this machine, pip keeps the result. Both together "
            f"take 8 to 16 minutes on two cores. Log: {LOG}",
            help_text=COMPILER_HELP,
        )


def install_sparse() -> None:
    """Install torch-scatter and torch-sparse: prebuilt where they can be had, else compiled."""
    if answer(SPARSE_CHECK) is not None:
        return
    build = answer(TORCH_BUILD)
    if build is None:
        raise SetupError(f"torch was installed but cannot be imported. Try `make clean`; see {LOG}")
    version, device = build.split()
    # The pages are made for minor releases: 2.8.0 serves 2.8.1 as well.
    page = PYG_WHEELS.format(release=".".join([*version.split(".")[:2], "0"]), device=device)
    attempts: list[Callable[[], None]] = [compile_sparse]
    if reachable(page):
        attempts.insert(0, lambda: install_prebuilt(page))
    for attempt in attempts:
        try:
            attempt()
        except SetupError:
            if attempt is attempts[-1]:
                raise
            say("  it has none for this Python and torch")
        if answer(SPARSE_CHECK) is not None:
            return
    raise SetupError(
        f"torch-sparse was installed but does not work with this torch; see {LOG}.\n"
        f"Try again after: {PYTHON} -m pip cache remove 'torch_s*'"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Set up .venv for pyg-stgcn.")
    parser.add_argument("--torch", help="torch version, e.g. 2.8.0 or 2.8.0+cu128")
    parser.add_argument("--torch-index", help="further package index that has it")
    options = parser.parse_args()

    stamp = read_stamp()
    torch = options.torch or stamp.get("torch")
    index = options.torch_index or stamp.get("index")
    wanted = digest(torch, index)
    if stamp.get("digest") == wanted and PYTHON.exists():
        return
    make_venv()
    LOG.unlink(missing_ok=True)
    STAMP.write_text(json.dumps({"torch": torch, "index": index}), encoding="utf-8")
    install_torch(torch, index)
    install_sparse()
    install("installing pyg-stgcn and its tools", "-e", f"{ROOT}[dev,sparse]")
    stamp_text = json.dumps({"torch": torch, "index": index, "digest": wanted})
    STAMP.write_text(stamp_text, encoding="utf-8")
    say("done")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"[setup] error: {error}")
    except KeyboardInterrupt:
        sys.exit("[setup] interrupted; the next call goes on from here")
