"""Inspection of the masks of finished runs: kept weights, dead channels, overlaps, graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.evaluation.subsets import assembly_summary
from pyg_stgcn.models import Assembly
from pyg_stgcn.nn import Adjacency
from pyg_stgcn.plots.masks import plot_masks, stage_of
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.run_sparsity import Masks, expert_masks, layer_reports, sparsity_summary
from pyg_stgcn.skeletons import Skeleton
from pyg_stgcn.sparsity import (
    LayerOverlap,
    LayerReport,
    Overlap,
    kept_weights,
    overlap,
    report,
    total_overlap,
)


@dataclass(frozen=True)
class Network:
    """The masks of one trained backbone: that of a run, or an expert of its assembly.

    Args:
        label: Its name in tables and figures.
        architecture: Properties that must be equal for masks of two networks to be comparable.
        skeleton: The skeleton of the data.
        prunes_edges: Whether the run pruned edges too.
        layers: Report of each layer.
        masks: Boolean masks of all maskable parameters, edge weights included, by name.
        graphs: The learnt graph of each stage, ``[K, V, V]`` from joint to joint, by the name of
            the stage.
    """

    label: str
    architecture: dict[str, Any]
    skeleton: Skeleton
    prunes_edges: bool
    layers: list[LayerReport]
    masks: dict[str, Tensor]
    graphs: dict[str, Tensor]


@dataclass(frozen=True)
class Inspection:
    """The masks of a run's model.

    Args:
        folder: The run directory.
        totals: See :func:`pyg_stgcn.runs.run_sparsity.sparsity_summary`.
        layers: Report of each layer; those of an assembly expert by expert.
        networks: The backbone, or the experts of an assembly.
        assembly: See :func:`~pyg_stgcn.evaluation.subsets.assembly_summary`; ``None`` for one
            backbone.
    """

    folder: Path
    totals: dict[str, int | float]
    layers: list[LayerReport]
    networks: list[Network]
    assembly: dict[str, Any] | None

    @property
    def label(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @property
    def architecture(self) -> dict[str, Any]:
        """The architecture of the networks; an assembly may have several backbones."""
        models = sorted({str(network.architecture["model"]) for network in self.networks})
        return {**self.networks[0].architecture, "model": "+".join(models)}

    @property
    def empty(self) -> list[str]:
        """Names of the layers without kept weights."""
        return [layer.name for layer in self.layers if layer.empty]

    def to_dict(self) -> dict[str, Any]:
        """Totals and layers, for JSON."""
        rows = [{**asdict(layer), "sparsity": layer.sparsity} for layer in self.layers]
        more = {} if self.assembly is None else {"assembly": self.assembly}
        totals = {"run": str(self.folder), **self.totals, **more}
        return {**totals, "layers": rows, "empty": self.empty}


@dataclass(frozen=True)
class Comparison:
    """The overlap of the masks of two networks.

    Args:
        first: Label of the first network.
        second: Label of the second.
        layers: Their overlap, layer by layer.
    """

    first: str
    second: str
    layers: list[LayerOverlap]

    @property
    def weights(self) -> Overlap:
        """The overlap of all weights together."""
        return total_overlap(layer for layer in self.layers if not layer.is_edge)

    @property
    def edges(self) -> Overlap | None:
        """The overlap of all edge weights, if edges were pruned."""
        edges = [layer for layer in self.layers if layer.is_edge]
        return total_overlap(edges) if edges else None

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        content = {"first": self.first, "second": self.second, **_numbers(self.weights)}
        if self.edges is not None:
            content["edges"] = _numbers(self.edges)
        layers = [{"name": layer.name, **_numbers(layer)} for layer in self.layers]
        return {**content, "layers": layers}


@dataclass(frozen=True)
class Group:
    """Networks of one architecture.

    Args:
        networks: At least one.
        comparisons: The overlap of every pair of them.
    """

    networks: list[Network]
    comparisons: list[Comparison]

    def to_rows(self) -> dict[str, list[dict[str, Any]]]:
        """The tables that :func:`~pyg_stgcn.plots.masks.plot_masks` draws."""
        return {
            "networks": [
                {
                    "label": each.label,
                    "skeleton": each.skeleton,
                    "kept": {layer.name: 1 - layer.sparsity for layer in each.layers},
                    "graphs": {stage: graph.numpy() for stage, graph in each.graphs.items()},
                }
                for each in self.networks
            ],
            "comparisons": [pair.to_dict() for pair in self.comparisons],
        }


def _numbers(part: Overlap) -> dict[str, Any]:
    names = ("numel", "first", "second", "shared", "jaccard", "chance", "ratio")
    numbers = {name: getattr(part, name) for name in names}
    # "first" and "second" are the labels; the counts need other names.
    return {f"kept_{k}" if k in ("first", "second") else k: v for k, v in numbers.items()}


def inspect_run(folder: str | Path) -> Inspection:
    """Inspect the trained model of a run.

    Raises:
        InputError: The folder holds no finished run.
    """
    run = Run.open(folder)
    model = run.load_model()
    backbones, labels = [model], [run.folder.resolve().name]
    if isinstance(model, Assembly):
        backbones = list(model.experts)
        labels = [f"expert {number}" for number in range(1, len(backbones) + 1)]
    masks = run.load_masks(model)
    of_backbones: list[Masks] = [masks]
    if isinstance(model, Assembly):
        of_backbones = [expert_masks(masks, number) for number in range(len(backbones))]
    parts = zip(backbones, of_backbones, run.backbones, labels, strict=True)
    return Inspection(
        folder=run.folder,
        totals=sparsity_summary(model, run, masks),
        layers=layer_reports(model, run, masks),
        networks=[_inspect_network(run, *part) for part in parts],
        assembly=assembly_summary(run, model, masks) if isinstance(model, Assembly) else None,
    )


def _inspect_network(
    run: Run, backbone: nn.Module, masks: Masks, model: str, label: str
) -> Network:
    maskable = run.maskable
    architecture = {
        "model": model,
        "graph": run.config.model.graph,
        "channels": run.config.model.channels,
        "input channels": run.in_channels,
        "skeleton": run.skeleton.name,
        "joints": run.skeleton.num_joints,
        "include": run.mask_options["include"],
        "exclude": run.mask_options["exclude"],
    }
    graphs = {
        stage_of(name): module.by_partition()
        for name, module in backbone.named_modules()
        if isinstance(module, Adjacency)
    }
    return Network(
        label=label,
        architecture=architecture,
        skeleton=run.skeleton,
        prunes_edges=maskable["edges"],
        layers=report(backbone, masks, **maskable),
        # Graphs without masks keep all their edges, and are compared with those of other runs.
        masks=kept_weights(backbone, **{**maskable, "edges": True})
        | kept_weights(backbone, masks, **maskable),
        graphs=graphs,
    )


def networks_of(found: Sequence[Inspection]) -> list[Network]:
    """The networks of several runs, with distinct labels.

    A run is labelled by the name of its folder, or by its path if two names are the same.

    Raises:
        InputError: Two runs differ in their architecture.
    """
    if len(found) == 1:
        return found[0].networks
    for other in found[1:]:
        _check_comparable(found[0], other)
    unique = len({run.label for run in found}) == len(found)
    networks = []
    for run in found:
        label = run.label if unique else str(run.folder)
        for network in run.networks:
            part = f"{label}, {network.label}" if run.assembly else label
            networks.append(replace(network, label=part))
    return networks


def compare(networks: Sequence[Network]) -> list[Group]:
    """Group networks by architecture, and compute the overlap of every pair in a group."""
    groups: list[list[Network]] = []
    for network in networks:
        fitting = (group for group in groups if group[0].architecture == network.architecture)
        group = next(fitting, None)
        if group is None:
            groups.append([network])
        else:
            group.append(network)
    return [Group(group, _compare(group)) for group in groups]


def _compare(group: Sequence[Network]) -> list[Comparison]:
    edges = any(network.prunes_edges for network in group)
    comparisons = []
    for one, other in combinations(group, 2):
        layers = overlap(one.masks, other.masks)
        layers = [layer for layer in layers if edges or not layer.is_edge]
        comparisons.append(Comparison(one.label, other.label, layers))
    return comparisons


def _check_comparable(one: Inspection, other: Inspection) -> None:
    expected, found = one.architecture, other.architecture
    differing = [
        f"{name} ({found[name]}, not {value})"
        for name, value in expected.items()
        if found[name] != value
    ]
    if differing:
        raise InputError(
            f"{other.folder}: differs from {one.folder} in {', '.join(differing)}; compare runs "
            "of one architecture"
        )


def plot_groups(path: Path, groups: Sequence[Group]) -> None:
    """Draw the kept weights, the overlaps and the graphs of compared networks into a figure."""
    plot_masks(path, [group.to_rows() for group in groups])
