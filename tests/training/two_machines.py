"""Starts trainings on the hosts of benchmarks/two_hosts.py; imports torch once for all of them.

Every line of the input is a JSON object with the ``host``, the variables ``env``, the words
``argv`` of the command line and the file ``log``; the answer is the number of the process. A line
with a ``pid`` waits for its end; the answer is its exit code.
"""

from __future__ import annotations

import faulthandler
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

#: Seconds after which a process shows where it waits, and ends.
HANGS = 45


def start(host: str | None, env: dict[str, str], argv: list[str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.update(env)
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        if host is not None:
            runpy.run_path(str(BENCHMARKS / "two_hosts.py"))["move_to"](host)
        main(argv)
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException as error:
        print("not caught:", repr(error), flush=True)
    os._exit(70)


def serve() -> None:
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        if "pid" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])
        else:
            answer = start(**order)
        print(answer, flush=True)


if __name__ == "__main__":
    import pyg_stgcn.training.heartbeat as heartbeat
    import pyg_stgcn.training.machines as machines

    # Loaded once, before trainings are forked.
    import pyg_stgcn.training.runner  # noqa: F401
    import pyg_stgcn.training.stopping as stopping
    from pyg_stgcn.cli import main

    heartbeat.BEAT, heartbeat.SILENCE, heartbeat.GRACE = 0.2, 3.0, 0.5
    machines._FAREWELL = stopping._PATIENCE = 1.0
    serve()
