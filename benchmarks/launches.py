"""Counts the operators of a training step of every backbone against the reference.

    python benchmarks/launches.py
    python benchmarks/launches.py --models stgcn --operators
    python benchmarks/launches.py --sparsity 0.9
    python benchmarks/launches.py --device cuda

A GPU that trains on small clips waits for launches. Their number is known without a GPU: on the
device "meta" a model runs without numbers and takes the path of a GPU. Counted are the operators
that reach a backend in the forward pass with its loss, in the backward pass, and in the step of the
optimiser, with the batch "two" of train_step.py. Views, detached tensors and memory without
contents start no kernel and are left out; copies and tensors of zeros count.

An operator is not always one kernel: a convolution with a bias is two (three to four backward), a
matrix product with a bias one. Convolutions on "meta" give the memory order that cuDNN gives. What
cuDNN itself copies is not seen. --device cuda counts the kernels, copies and fills that really ran,
by torch.profiler.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from reference import ReferenceModel
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from train_step import CLASSES, CLIPS, GRAPHS, PERSONS, SKELETON, VARIANTS, make_batches

from pyg_stgcn.models import create_model, list_models
from pyg_stgcn.sparsity import sparsify

PARTS = ("forward", "backward", "optimizer")
#: Operators without a kernel, views aside.
NO_KERNEL = {
    "_unsafe_view",
    "_record_function_enter_new",
    "_record_function_exit",
    "detach",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
}


class OperatorCounter(TorchDispatchMode):
    """Counts the operators that start kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = operator(*args, **(kwargs or {}))
        name = operator._schema.name.split("::")[1]
        if not operator.is_view and name not in NO_KERNEL:
            self.counts[name] += 1
        if name in ("convolution", "convolution_backward"):
            return _as_cudnn(result, args)
        return result


def _as_cudnn(result: Any, args: Sequence[Any]) -> Any:
    """The results of a convolution in the memory order that cuDNN gives them."""
    inputs = [value for value in args[:3] if isinstance(value, Tensor)]
    if not any(suggest_memory_format(value) == torch.channels_last for value in inputs):
        return result

    def ordered(value: Tensor | None) -> Tensor | None:
        if value is None or value.dim() != 4:
            return value
        return value.contiguous(memory_format=torch.channels_last)

    return ordered(result) if isinstance(result, Tensor) else tuple(map(ordered, result))


class KernelCounter:
    """Counts the kernels, copies and fills that run on a GPU."""

    def __enter__(self) -> KernelCounter:
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        torch.cuda.synchronize()
        self._profile = torch.profiler.profile(activities=activities)
        self._profile.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        torch.cuda.synchronize()
        self._profile.__exit__(*error)
        on_gpu = torch.autograd.DeviceType.CUDA
        events = [event for event in self._profile.events() if event.device_type == on_gpu]
        self.counts = Counter(event.name for event in events)


def count_step(
    model: nn.Module, batch: Sequence[Any], counter: type[OperatorCounter] | type[KernelCounter]
) -> dict[str, Counter[str]]:
    """The operators, or the kernels, of the parts of a training step by name."""
    target = torch.arange(CLIPS, device=next(model.parameters()).device)
    # The default of a GPU.
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, foreach=True
    )
    model.train()
    for _ in range(2):  # The first one makes momenta and workspaces.
        optimizer.zero_grad()
        with counter() as forward:
            loss = cross_entropy(model(*batch), target)
        with counter() as backward:
            loss.backward()
        with counter() as step:
            optimizer.step()
    return {"forward": forward.counts, "backward": backward.counts, "optimizer": step.counts}


def count_model(name: str, device: str, sparsity: float) -> dict[str, dict[str, Counter[str]]]:
    """The counts of a backbone and of the reference, which has no masks."""
    return {variant: count_variant(name, variant, device, sparsity) for variant in VARIANTS}


def count_variant(name: str, variant: str, device: str, sparsity: float) -> dict[str, Counter[str]]:
    """The counts of a backbone or of the reference."""
    on_gpu = torch.device(device).type == "cuda"
    # Masks are chosen by values, and the reference reads its graph.
    with torch.device("cpu" if sparsity or variant == "reference" else device):
        graph = GRAPHS.get(name, "spatial")
        make = create_model if variant == "ours" else ReferenceModel
        model = make(name, CLASSES, SKELETON, graph=graph)
    if sparsity and variant == "ours":
        sparsify(model, sparsity)
    batch = make_batches(PERSONS["two"], device)[variant][0]
    return count_step(model.to(device), batch, KernelCounter if on_gpu else OperatorCounter)


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list_models(), choices=list_models())
    parser.add_argument("--device", default="meta")
    parser.add_argument("--sparsity", type=float, default=0.0, help="masks on the weights")
    parser.add_argument("--operators", action="store_true", help="show them by name")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in arguments.models:
        counts = count_model(name, arguments.device, arguments.sparsity)
        for variant in VARIANTS:
            rows.append({"model": name, "variant": variant, **counts[variant]})
            if not arguments.json:
                print("\n".join(describe(rows[-1], arguments.operators)), flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=2))


def describe(row: dict[str, Any], operators: bool) -> list[str]:
    """The lines of one model."""
    totals = {part: row[part].total() for part in PARTS}
    words = [f"{part} {totals[part]:4}" for part in PARTS]
    both = totals["forward"] + totals["backward"]
    lines = [f"{row['model']:8} {row['variant']:9} {'  '.join(words)}  forward + backward {both:4}"]
    if operators:
        for part in PARTS:
            names = ", ".join(f"{name} {count}" for name, count in row[part].most_common())
            lines.append(f"    {part}: {names}")
    return lines


if __name__ == "__main__":
    main()
