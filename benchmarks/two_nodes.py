"""Time and bytes of a training step on one host and on two, which are network namespaces.

Prints a Markdown table: milliseconds of a step of each network in one process, and in two processes
on two hosts with the same batch a process, with plain and with synchronised batch norms; and the
bytes that a host sends in a step. Needs root, ``ip``, and for --megabit also ``tc``.

Usage: python benchmarks/two_nodes.py [--models stgcn ...] [--clips 4] [--megabit 1000 --delay 0.1]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

from two_hosts import TwoHosts, move_to, why_not

STEPS = 8


def sent_bytes() -> int:
    """Bytes that this host has sent over its cable."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[8]) for line in lines if "lo:" not in line)


def worker(host: str | None, rank: int, size: int, address: str, task: Any, results: Any) -> None:
    if host is not None:
        move_to(host)
    import torch
    from torch import distributed
    from torch.nn.functional import cross_entropy
    from torch.nn.parallel import DistributedDataParallel

    from pyg_stgcn.models import create_model
    from pyg_stgcn.nn import synchronize_norms
    from pyg_stgcn.training.addresses import choose_interface, own_address

    torch.set_num_threads(1)
    model = create_model(task["model"], 120, "ntu25")
    if size > 1:
        os.environ.update(MASTER_ADDR=address, MASTER_PORT="29500")
        choose_interface({rank: own_address(address)}, rank)
        distributed.init_process_group("gloo", rank=rank, world_size=size)
        if task["sync"]:
            synchronize_norms(model)
        model = DistributedDataParallel(model)
    clips = task["clips"]
    x = torch.randn(2 * clips * 25, 100, 3)
    batch = torch.arange(clips).repeat_interleave(2 * 25)
    labels = torch.arange(clips)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    times, sent = [], 0
    for step in range(STEPS + 2):  # The first two build buckets.
        if size > 1:
            distributed.barrier()
        start, before = time.perf_counter(), sent_bytes()
        cross_entropy(model(x, batch), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= 2:
            times.append(time.perf_counter() - start)
            sent += sent_bytes() - before
    if rank == 0:
        results.put((sorted(times)[STEPS // 2], sent / STEPS))
    if size > 1:
        distributed.barrier()
        distributed.destroy_process_group()


def measure(hosts: TwoHosts, size: int, task: dict[str, Any]) -> tuple[float, float]:
    """Seconds and sent bytes of a step."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    names = hosts.names if size > 1 else [None]
    processes = [
        context.Process(
            target=worker, args=(name, rank, size, hosts.addresses[0], task, results), daemon=True
        )
        for rank, name in enumerate(names)
    ]
    for process in processes:
        process.start()
    found: tuple[float, float] = results.get(timeout=600)
    for process in processes:
        process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["stgcn", "stgcnpp", "aagcn", "ctrgcn"])
    parser.add_argument("--clips", type=int, default=2, help="of a process in a step")
    parser.add_argument("--megabit", type=float, help="bandwidth of the cable (default: no limit)")
    parser.add_argument("--delay", type=float, default=0.0, help="of the cable, milliseconds")
    options = parser.parse_args()
    if (reason := why_not()) is not None:
        raise SystemExit(reason)
    print("| model | one host, ms | two hosts, ms | two, synchronised norms, ms | MB sent a step |")
    print("| --- | --- | --- | --- | --- |")
    with TwoHosts(251) as hosts:
        if options.megabit:
            hosts.limit(options.megabit, options.delay)
        for model in options.models:
            task = {"model": model, "clips": options.clips, "sync": False}
            one, _ = measure(hosts, 1, task)
            two, sent = measure(hosts, 2, task)
            synced, more = measure(hosts, 2, {**task, "sync": True})
            print(
                f"| {model} | {1e3 * one:.0f} | {1e3 * two:.0f} | {1e3 * synced:.0f} "
                f"| {sent / 1e6:.1f}; synchronised {more / 1e6:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
