"""Set up the project's environment: `.venv` with torch, pyg-stgcn and its development tools.

Run it with the Python that the environment shall use; it needs nothing but the standard library.
Later calls return at once until `pyproject.toml`, `constraints.txt`, this file, the C++ sources or
the chosen torch change.

The package works without torch-scatter and torch-sparse, and compiling them takes many minutes.
`--sparse` says how much to do for them:

- `build`: take prebuilt wheels if there are any, otherwise compile them;
- `prebuilt`: take prebuilt wheels if there are any, otherwise continue without the two;
- `none`: an environment without the two; those in it are removed.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
LOG = VENV / "setup.log"
STAMP = VENV / "setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
# Without its torch pin if another torch was asked for.
USED_CONSTRAINTS = VENV / "constraints.txt"

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PYG_WHEELS = "https://data.pyg.org/whl/torch-{release}+{device}.html"
# The newest for which PyG has wheels of both, as reported in September 2026.
TORCH_WITH_WHEELS = "2.12.0"
SPARSE_PACKAGES = ("torch-scatter", "torch-sparse")
# The installed ones may have been built for another torch.
REINSTALL = ("--no-deps", "--force-reinstall")
COMPILER_HELP = f"""\
torch-scatter and torch-sparse are C++ and have no prebuilt wheel for this torch here. They need
  - a C++ compiler: `apt install g++`, `dnf install gcc-c++`, on macOS `xcode-select --install`;
  - the headers of Python: `apt install python3-dev`, `dnf install python3-devel`;
  - about 3 GB of free memory; with less, run MAX_JOBS=1 make ...
Or choose a torch with prebuilt wheels (https://data.pyg.org/whl): make TORCH={TORCH_WITH_WHEELS}"""
SPARSE_CHECK = """\
import torch, torch_scatter
from torch_sparse import SparseTensor
assert torch.equal(SparseTensor.eye(3) @ torch.ones(3, 1), torch.ones(3, 1))
"""
SPARSE_INSTALLED = """\
from importlib.metadata import distributions
names = {d.name.lower().replace("_", "-") for d in distributions()}
print(*sorted(names & {"torch-scatter", "torch-sparse"}))
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


def wait_for_heartbeat(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code, or None if the process still runs after a heartbeat."""
    try:
        return process.wait(timeout=HEARTBEAT_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def run(title: str, command: list[str], note: str = "", help_text: str = "") -> None:
    """Run a step with its output in the log, and report every half minute that it still runs."""
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
            while (code := wait_for_heartbeat(process)) is None:
                minutes, seconds = divmod(int(time.monotonic() - start), 60)
                say(f"  still running after {minutes}:{seconds:02d}")
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


def output_of(code: str) -> str | None:
    """Output of `code` in the environment's Python, None if it fails."""
    done = subprocess.run([str(PYTHON), "-c", code], cwd=VENV, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def is_reachable(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def digest(torch: str | None, index: str | None) -> str:
    """Hash of everything that the environment is made from."""
    inputs = [json.dumps([str(ROOT), platform.python_version_tuple()[:2], torch, index])]
    files = [ROOT / "pyproject.toml", ROOT / "setup.py", CONSTRAINTS, Path(__file__)]
    sources = (ROOT / "pyg_stgcn").rglob("*")
    files += sorted(path for path in sources if path.suffix in {".cpp", ".h", ".inc"})
    inputs += [path.read_text(encoding="utf-8") for path in files]
    return hashlib.sha256("\0".join(inputs).encode()).hexdigest()


def read_stamp() -> dict[str, str | None]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict[str, str | None]) -> None:
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")


def make_venv() -> None:
    """Create `.venv` unless it is a working one of the running Python's version."""
    code = "import platform; print(platform.python_version())"
    have = output_of(code) if PYTHON.exists() else None
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
    elif sys.platform == "linux" and output_of(TORCH_VERSION) is None:
        # The package registry's torch for Linux carries gigabytes of CUDA libraries.
        if is_reachable(CPU_INDEX):
            arguments += ["--extra-index-url", CPU_INDEX]
        else:
            note = " (PyTorch's CPU index does not answer; the registry's build may be 3 GB)"
    install("installing torch", *arguments, note=note)


def cached_wheels() -> list[str]:
    """The newest wheel of each package that pip kept from an earlier compile for this Python."""
    tag = f"-cp{sys.version_info[0]}{sys.version_info[1]}-"
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "cache", "list", "--format", "abspath"],
        capture_output=True,
        text=True,
    ).stdout
    wheels = [path for path in map(Path, listing.splitlines()) if tag in path.name]
    newest = []
    for package in SPARSE_PACKAGES:
        found = [path for path in wheels if path.name.startswith(package.replace("-", "_") + "-")]
        newest += [str(max(found, key=lambda path: path.stat().st_mtime))] if found else []
    return newest


def try_wheels(title: str, *arguments: str) -> bool:
    """Whether wheels of the two could be installed and work with this torch."""
    try:
        install(title, "--no-index", "--only-binary", ":all:", *REINSTALL, *arguments)
    except SetupError:
        say("  there is none for this Python and torch")
        return False
    if output_of(SPARSE_CHECK) is None:
        say("  they do not work with this torch")
        return False
    return True


def install_prebuilt(version: str, device: str) -> bool:
    """Install torch-scatter and torch-sparse if that needs no compiler; tell whether it worked."""
    title = "installing torch-scatter and torch-sparse"
    cached = cached_wheels()
    if len(cached) == len(SPARSE_PACKAGES) and try_wheels(f"{title}, compiled earlier", *cached):
        return True
    # The pages are made for minor releases: 2.8.0 serves 2.8.1 as well.
    page = PYG_WHEELS.format(release=".".join([*version.split(".")[:2], "0"]), device=device)
    return is_reachable(page) and try_wheels(
        f"{title} from {page}", "--find-links", page, *SPARSE_PACKAGES
    )


def check_compiler() -> None:
    compiler = os.environ.get("CXX", "c++").split()[0]
    if shutil.which(compiler) is None and shutil.which("g++") is None:
        raise SetupError(f"no C++ compiler found ({compiler}).\n{COMPILER_HELP}")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        raise SetupError(f"the headers of Python are missing ({header}).\n{COMPILER_HELP}")


def compile_sparse() -> None:
    # Both have been tried by now and do not work, but pip would take them again. A single one is
    # from an interrupted compile.
    if len(cached_wheels()) == len(SPARSE_PACKAGES):
        for name in SPARSE_PACKAGES:
            pip(f"removing the cached wheel of {name}", "cache", "remove", name.replace("-", "_"))
    if os.name != "nt":
        check_compiler()
    for number, name in enumerate(SPARSE_PACKAGES, start=1):
        install(
            f"compiling {name}",
            *REINSTALL,
            name,
            note=f" ({number} of 2); once on this machine, pip keeps the result. Both together "
            f"take 8 to 20 minutes on two cores. Log: {LOG}",
            help_text=COMPILER_HELP,
        )
    if output_of(SPARSE_CHECK) is None:
        raise SetupError(
            f"torch-sparse was installed but does not work with this torch; see {LOG}.\n"
            f"Try again after: {PYTHON} -m pip cache remove 'torch_s*'"
        )


def remove_sparse() -> None:
    if installed := (output_of(SPARSE_INSTALLED) or "").split():
        pip(f"removing {' and '.join(installed)}", "uninstall", "--yes", *installed)


def set_up_sparse(effort: str) -> str:
    """Bring the environment's torch-scatter and torch-sparse to the state that `effort` asks for.

    Returns the new state: `installed`, `unavailable` (no wheels were found) or `removed`.
    """
    if effort == "none":
        remove_sparse()
        return "removed"
    if output_of(SPARSE_CHECK) is not None:
        return "installed"
    build = output_of(TORCH_BUILD)
    if build is None:
        raise SetupError(f"torch was installed but cannot be imported. Try `make clean`; see {LOG}")
    version, device = build.split()
    if install_prebuilt(version, device):
        return "installed"
    if effort == "build":
        compile_sparse()
        return "installed"
    # Some of another torch would give warnings at every import.
    remove_sparse()
    say(
        f"continuing without torch-sparse (graph products are then dense): no wheel for torch "
        f"{version} was found. `make setup` compiles it in 8 to 20 minutes"
    )
    return "unavailable"


def main() -> None:
    parser = argparse.ArgumentParser(description="Set up .venv for pyg-stgcn.")
    parser.add_argument("--torch", help="torch version, e.g. 2.12.0 or 2.12.0+cu130")
    parser.add_argument("--torch-index", help="further package index that has it")
    parser.add_argument(
        "--sparse",
        choices=("build", "prebuilt", "none"),
        default="build",
        help="what to do for torch-scatter and torch-sparse (default: build)",
    )
    options = parser.parse_args()
    enough = {
        "build": ("installed",),
        "prebuilt": ("installed", "unavailable"),
        "none": ("removed",),
    }[options.sparse]

    stamp = read_stamp()
    torch = options.torch or stamp.get("torch")
    index = options.torch_index or stamp.get("index")
    wanted = digest(torch, index)
    is_current = stamp.get("digest") == wanted and PYTHON.exists()
    if is_current and stamp.get("sparse") in enough:
        return
    make_venv()
    LOG.unlink(missing_ok=True)
    state = {"torch": torch, "index": index}
    if not is_current:
        write_stamp(state)
        install_torch(torch, index)
        install("installing pyg-stgcn and its tools", "-e", f"{ROOT}[dev]")
    state["digest"] = wanted
    write_stamp(state)
    state["sparse"] = set_up_sparse(options.sparse)
    write_stamp(state)
    say("done")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"[setup] error: {error}")
    except KeyboardInterrupt:
        sys.exit("[setup] interrupted; the next call goes on from here")
