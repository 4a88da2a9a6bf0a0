"""Files with mutations: each is used, or refused with one clear error.

    python benchmarks/fuzz --count 100000 --state fuzz.json

Makes a run of every kind, then mutates its files one at a time (bits, bytes, pieces, values,
types, shapes; checksums are put right where that can be done) and opens them as the commands do. A
mutation is determined by its kind of file and its number; a call with the same --state goes on
where the last one ended. Counted are the mutations that were accepted, those that were refused with
an InputError of one line that names the file ("unclear" if it does not), and those that ended in
anything else: a traceback, which more memory than --memory ends in too, or a hang of more than
--seconds. `--only KIND --first N --count 1` repeats one of them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from kinds import Kind, make_kinds
from rich.progress import Progress, TextColumn, TimeRemainingColumn
from trials import Outcome, limit_memory, try_one

MIB = 2**20


def load_state(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {"kinds": {}, "failures": []}
    return json.loads(path.read_text())


def chosen(kinds: dict[str, Kind], number: int) -> str:
    """The kind of the mutation of a number: each as often as its fraction says."""
    names = [name for name, kind in kinds.items() for _ in range(kind.fraction)]
    return names[number % len(names)]


def record(state: dict[str, Any], name: str, number: int, outcome: Outcome) -> None:
    counts = state["kinds"].setdefault(name, {"slowest": 0.0, "peak_mib": 0.0})
    counts[outcome.word] = counts.get(outcome.word, 0) + 1
    counts["slowest"] = max(counts["slowest"], round(outcome.seconds, 2))
    counts["peak_mib"] = max(counts["peak_mib"], round(outcome.bytes / MIB, 1))
    if outcome.word not in ("accepted", "refused"):
        state["failures"].append([name, number, outcome.word, outcome.detail[-1500:]])


def show(state: dict[str, Any]) -> None:
    words = ("accepted", "refused", "unclear", "traceback", "hang")
    print(f"{'kind':24}" + "".join(f"{word:>10}" for word in (*words, "slowest", "peak MiB")))
    total: Counter[str] = Counter()
    for name, counts in sorted(state["kinds"].items()):
        numbers = [counts.get(word, 0) for word in words]
        total.update(dict(zip(words, numbers, strict=True)))
        ends = f"{counts['slowest']:>10}{counts['peak_mib']:>10}"
        print(f"{name:24}" + "".join(f"{number:>10}" for number in numbers) + ends)
    print(f"{'all':24}" + "".join(f"{total[word]:>10}" for word in words))
    where = Counter(
        (name, word, detail.splitlines()[-1][:120] if detail else "")
        for name, _, word, detail in state["failures"]
    )
    first = {}
    for name, number, word, detail in state["failures"]:
        key = (name, word, detail.splitlines()[-1][:120] if detail else "")
        first.setdefault(key, number)
    for (name, word, line), count in where.most_common(40):
        print(f"{count:>5} x {name}, first number {first[name, word, line]}: {word}: {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000, help="mutations of this call")
    parser.add_argument("--first", type=int, help="number of the first; default: after the last")
    parser.add_argument("--only", help="the only kind of file")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a hang")
    parser.add_argument("--memory", type=int, default=4096, help="MiB that a mutation may take")
    parser.add_argument("--state", type=Path, help="JSON file of the counts, to go on from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    state = load_state(arguments.state)
    first = state.get("next", 0) if arguments.first is None else arguments.first
    if arguments.state:
        arguments.state = arguments.state.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)  # A mutated path may be relative.
        kinds = make_kinds(Path(temporary))
        if arguments.only:
            kinds = {arguments.only: kinds[arguments.only]}
        limit_memory(arguments.memory * MIB)
        columns = (*Progress.get_default_columns()[:2], TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeRemainingColumn(), disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("mutations", total=arguments.count)
            for number in range(first, first + arguments.count):
                name = chosen(kinds, number)
                record(state, name, number, try_one(name, kinds[name], number, arguments.seconds))
                progress.advance(task)
                state["next"] = number + 1
                if arguments.state and number % 200 == 0:
                    arguments.state.write_text(json.dumps(state))
    if arguments.state:
        arguments.state.write_text(json.dumps(state))
    show(state)
    if arguments.count == 1 and state["failures"]:
        print(state["failures"][-1][-1])
    sys.exit(bool(state["failures"]))


if __name__ == "__main__":
    main()
