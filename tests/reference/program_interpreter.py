"""A program, computed in float64 as docs/reference/program.md describes it, one person at a time.

Written after the document, not after the compiler, the runtime or the engine: their truth. Lanes
after the last joint hold NaN at first, so that nothing can depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.program import FeatureSlot, Instruction, Network, Program

LANES = 16
Array = NDArray[Any]


def logits(program: Program, x: Array, batch: Array, num_clips: int) -> Array:
    """The logits of clips ``x [P*V, T, C]``; ``batch [P*V]`` is the clip of every node."""
    means = features(program, x, batch)
    clips = batch[:: program.num_joints]
    pooled = np.zeros((num_clips, means.shape[1]))
    for clip in np.unique(clips):
        pooled[clip] = means[clips == clip].mean(0)
    return pooled @ program.head_weight.astype(float).T + program.head_bias


def features(program: Program, x: Array, batch: Array) -> Array:
    """The features of every person, ``[P, C']``."""
    joints = program.num_joints
    persons = x.reshape(-1, joints, *x.shape[1:]).transpose(0, 2, 1, 3).astype(float)
    clips = batch[::joints]
    found = []
    for number, person in enumerate(persons):
        position = int((clips[:number] == clips[number]).sum())
        parts = [Run(network, joints, person, position).features() for network in program.networks]
        found.append(sum(f * part for f, part in zip(program.factors, parts, strict=True)))
    return np.stack(found)


class Run:
    """One person in a network: features are ``[frames, channels, lanes]``, graphs flat."""

    def __init__(self, network: Network, joints: int, person: Array, position: int) -> None:
        self.network, self.joints, self.lanes = network, joints, network.blocks * LANES
        norm = min(position, len(network.scale) - 1)
        x = person * network.scale[norm].astype(float) + network.shift[norm]
        first = np.full((len(x), x.shape[2], self.lanes), np.nan)
        first[:, :, :joints] = x.transpose(0, 2, 1)
        self.slots: dict[int, Array] = {0: first}

    def features(self) -> Array:
        for instruction in self.network.instructions:
            step: Callable[..., None] = getattr(self, instruction.op)
            arrays = {
                name: array.astype(float) if array.dtype == np.float32 else array
                for name, array in instruction.arrays.items()
            }
            step(instruction, **arrays)
        return self.slots[self.network.result][:, :, : self.joints].mean((0, 2))

    def padded(self, slot: int, frames: int) -> Array:
        """The features with zeros before and after, which the halo has to hold."""
        described = self.network.slots[slot]
        assert isinstance(described, FeatureSlot)
        assert frames <= described.halo
        return np.pad(self.slots[slot], ((frames, frames), (0, 0), (0, 0)))

    def write(self, slot: int, channel: int, values: Array) -> None:
        described = self.network.slots[slot]
        assert isinstance(described, FeatureSlot)
        shape = (len(values), described.channels, self.lanes)
        out = self.slots.setdefault(slot, np.full(shape, np.nan))
        own = out[:, channel : channel + values.shape[1]]
        assert np.isnan(own).all(), "a slot is written twice"
        own[:] = values

    def conv(self, op: Instruction, starts: Any, offsets: Any, values: Any, bias: Any) -> None:
        n = op.numbers
        x = self.padded(n["in"], n["padding"])
        inputs = n["span"] * x.shape[1]
        weight = dense_rows(starts, offsets, values, n["groups"], n["block"], inputs)
        frames = (len(x) - n["span"]) // n["stride"] + 1
        seen = [x[t * n["stride"] :][: n["span"]].reshape(-1, self.lanes) for t in range(frames)]
        out = weight @ np.array(seen).reshape(frames, weight.shape[1], self.lanes)
        self.finish(op, out + bias[:, None], n["channel"])

    def finish(self, op: Instruction, out: Array, channel: int = 0) -> None:
        if op.numbers["residual"] >= 0:
            out = out + self.slots[op.numbers["residual"]]
        self.write(op.numbers["out"], channel, relu(out) if op.numbers["relu"] else out)

    def graph_conv(self, op: Instruction, **arrays: Any) -> None:
        x, partitions = self.slots[op.numbers["in"]], op.numbers["partitions"]
        row_bias = arrays["row_bias"]
        rows = dense_rows(arrays["starts"], arrays["offsets"], arrays["values"], 1, 1, x.shape[1])
        mapped = rows @ x + row_bias[:, None]
        mapped = relu(mapped) if op.numbers["map_relu"] else mapped
        mapped = mapped.reshape(len(x), -1, partitions, self.lanes)[..., : self.joints]
        graph = self.edges(op.numbers["graph"], partitions, **arrays)
        channels = mapped.shape[1]
        graph = np.broadcast_to(graph, (partitions, channels, self.joints, self.lanes))
        total = np.einsum("tckv,kcvw->tcw", mapped, graph)
        self.finish(op, total + arrays["bias"])

    def edges(self, slot: int, partitions: int, **arrays: Any) -> Array:
        """The graph by partition, channel or one for all, source and lane."""
        factors = arrays["factors"] if slot < 0 else self.slots[slot]
        factors = factors.reshape(partitions, -1, self.joints * self.lanes)
        graph = np.zeros((*factors.shape[:2], self.joints, self.lanes))
        blocks = self.lanes // LANES
        for part in range(partitions * blocks):
            k, lane = part // blocks, part % blocks * LANES
            for entry in range(arrays["graph_starts"][part], arrays["graph_starts"][part + 1]):
                source, place = arrays["edges"][entry]
                graph[k, :, source, lane : lane + LANES] += factors[k, :, place : place + LANES]
        if arrays["ell_starts"].size:
            sources, values = (
                arrays[f"ell_{name}"].reshape(-1, self.lanes) for name in ("sources", "factors")
            )
            same = np.zeros_like(graph)
            for k, (begin, end) in enumerate(pairs(arrays["ell_starts"])):
                for n in range(begin, end):
                    same[k, 0, sources[n], np.arange(self.lanes)] += values[n]
            assert (same == graph).all()
        return graph

    def maximum(self, op: Instruction, scale: Any, shift: Any) -> None:
        n = op.numbers
        x = self.padded(n["in"], 1)[:, n["in_channel"] :][:, : len(scale)]
        most = np.maximum(np.maximum(x[:-2], x[1:-1]), x[2:])[:: n["stride"]]
        out = most * scale[:, None] + shift[:, None]
        self.write(n["out"], n["channel"], relu(out) if n["relu"] else out)

    def add(self, op: Instruction) -> None:
        self.finish(op, self.slots[op.numbers["in"]])

    def mean_joint(self, op: Instruction) -> None:
        x = self.slots[op.numbers["at"]]
        x[:, :, self.joints] = x[:, :, : self.joints].mean(2)

    def spread_joint(self, op: Instruction, factor: Any, scale: Any, shift: Any) -> None:
        x = self.slots[op.numbers["at"]]
        mean = x[:, :, self.joints, None]
        x[:] = relu(scale[:, None] * (x + factor * mean) + shift[:, None])

    def similarity(self, op: Instruction, prior: Any, gate: Any) -> None:
        n = op.numbers
        x = self.slots[n["in"]][:, :, : self.joints]
        shape = (len(x), 2, n["partitions"], n["channels"], self.joints)
        source, target = x.reshape(shape).swapaxes(0, 1)
        products = np.einsum("tkcv,tkcw->kvw", source, target) / (len(x) * n["channels"])
        self.slots[n["out"]] = prior + gate * np.tanh(self.in_lanes(products))

    def relations(self, slot: int, partitions: int, weight: Any, bias: Any) -> Array:
        """Source and target ``[2, K, R, V]`` of the means over the frames."""
        mean = self.slots[slot][:, :, : self.joints].mean(0)
        return (weight @ mean + bias[:, None]).reshape(2, partitions, -1, self.joints)

    def channel_graph(
        self, op: Instruction, relate_weight: Any, relate_bias: Any, fixed: Any, refine: Any
    ) -> None:
        source, target = self.relations(op.numbers["in"], len(fixed), relate_weight, relate_bias)
        difference = np.tanh(source[..., None] - target[:, :, None])
        relation = self.in_lanes(difference) * fixed[:, 1:]
        relation = np.concatenate([relation, fixed], 1)
        self.slots[op.numbers["out"]] = np.einsum("kcr,krvw->kcvw", refine, relation)

    def group_graph(
        self,
        op: Instruction,
        relate_weight: Any,
        relate_bias: Any,
        prior: Any,
        alpha: Any,
        beta: Any,
        kept: Any,
    ) -> None:
        source, target = self.relations(op.numbers["in"], len(prior), relate_weight, relate_bias)
        score = self.in_lanes(np.einsum("krv,krw->kvw", source, target))
        weight = np.exp(score - score.max((1, 2), keepdims=True)) * kept
        total = weight.sum(1, keepdims=True)
        share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
        common = prior + beta * share
        difference = self.in_lanes(np.tanh(source[..., None] - target[:, :, None]))
        self.slots[op.numbers["out"]] = common[:, None] + alpha[:, None] * difference

    def attention(self, op: Instruction, **arrays: Any) -> None:
        x = self.slots[op.numbers["at"]]

        def gate(of: str, means: Array) -> Array:
            """A gate of every row of ``means [L, C]``: a convolution to one channel."""
            taps = arrays[f"{of}_taps"]
            padded = np.pad(means, ((len(taps) // 2, len(taps) // 2), (0, 0)))
            windows = [padded[i : i + len(taps)] for i in range(len(means))]
            return 1 + sigmoid(np.array([(w * taps).sum() for w in windows]) + arrays[f"{of}_bias"])

        x[:, :, : self.joints] *= gate("joint", x[:, :, : self.joints].mean(0).T)
        x *= gate("frame", x[:, :, : self.joints].mean(2))[:, None, None]
        mean = x[:, :, : self.joints].mean((0, 2))
        squeezed = relu(arrays["squeeze_weight"] @ mean + arrays["squeeze_bias"])
        x *= 1 + sigmoid(arrays["excite_weight"] @ squeezed + arrays["excite_bias"])[:, None]

    def in_lanes(self, x: Array) -> Array:
        return np.pad(x, (*[(0, 0)] * (x.ndim - 1), (0, self.lanes - self.joints)))


def dense_rows(
    starts: Array, offsets: Array, values: Array, groups: int, block: int, inputs: int
) -> Array:
    """The weights ``[rows, inputs]`` that sparse rows stand for."""
    rows = (len(starts) - 1) // groups
    weight = np.zeros((rows, block, inputs))
    assert (offsets % LANES == 0).all()
    for place, (begin, end) in enumerate(pairs(starts)):
        for entry in range(begin, end):
            weight[place % rows, :, offsets[entry] // LANES] += values[entry * block :][:block]
    return weight.reshape(rows * block, inputs)


def pairs(starts: Array) -> Iterator[tuple[int, int]]:
    return zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))
