"""Files that would make a careless reader use memory that it does not have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from pyg_stgcn.models import create_model
from pyg_stgcn.program import FeatureSlot, GraphSlot, Instruction, Program
from pyg_stgcn.program_file import program_bytes, read_program
from pyg_stgcn.recognition import engine_bytes

pytestmark = pytest.mark.usefixtures("built")

STEPS: dict[str, Any] = {"stream": "joint", "clip_frames": 8, "has_score": False}


@pytest.fixture(scope="module")
def genuine() -> tuple[Program, dict[str, Any]]:
    torch.manual_seed(0)
    model = create_model("stgcn", 2, "ntu25", base_channels=8, num_stages=1)
    return read_program(engine_bytes(model, ["sit", "stand"], STEPS))


def identity(channels: int, **numbers: int) -> Instruction:
    """A convolution that copies the middle of its taps."""
    middle = numbers.get("span", 1) // 2
    places = 16 * (channels * middle + np.arange(channels, dtype=np.int32))
    return Instruction(
        "conv",
        {
            **{"residual": -1, "channel": 0, "padding": 0, "stride": 1, "span": 1},
            **{"groups": 1, "block": 1, "relu": 0},
            **numbers,
        },
        {
            "starts": np.arange(channels + 1, dtype=np.int32),
            "offsets": places.astype(np.int32),
            "values": np.ones(channels, np.float32),
            "bias": np.zeros(channels, np.float32),
        },
    )


def with_network(
    genuine: tuple[Program, dict[str, Any]],
    slots: list[Any],
    instructions: list[Instruction],
    copies: int = 1,
) -> bytes:
    """A file whose last slot is the result."""
    program, metadata = genuine
    network = replace(
        program.networks[0], slots=slots, instructions=instructions, result=len(slots) - 1
    )
    features = slots[-1].channels
    head = np.ones((len(program.head_bias), features), np.float32)
    networks, factors = [network] * copies, np.ones(copies, np.float32)
    program = replace(program, networks=networks, factors=factors, head_weight=head)
    return program_bytes(program, metadata)


def test_more_padding_than_taps(genuine: tuple[Program, dict[str, Any]]) -> None:
    """Zeros that a queue of a stream has no room for: such networks see whole clips."""
    wide, padding = 201, 100
    slots = [FeatureSlot(3), FeatureSlot(3, wide), FeatureSlot(3, 2 * padding), FeatureSlot(3)]
    instructions = [
        identity(3, **{"in": 0, "out": 1}),
        identity(3, **{"in": 1, "out": 2}, padding=wide - 1, span=wide),
        identity(3, **{"in": 2, "out": 3}, padding=padding),
    ]
    with Engine.from_bytes(with_network(genuine, slots, instructions)) as engine:
        assert not engine.is_continual
        x = np.ones((25, 8, 3), np.float32)
        assert np.isfinite(engine.logits(x)).all()
        with engine.stream() as stream:
            assert stream.push_prepared(np.ones((8, 25, 3), np.float32)) is not None


def test_frames_that_are_too_few_have_no_features(genuine: tuple[Program, dict[str, Any]]) -> None:
    """Of a network that sees whole clips, and loses two frames at both ends."""
    slots = [FeatureSlot(3), FeatureSlot(3, 1), FeatureSlot(3)]
    valid = identity(3, **{"in": 0, "out": 1}, span=5)
    whole = identity(3, **{"in": 1, "out": 2}, padding=1)
    with Engine.from_bytes(with_network(genuine, slots, [valid, whole])) as engine:
        assert not engine.is_continual
        x = np.ones((8, 25, 3), np.float32)
        with engine.stream() as stream:
            assert stream.push_prepared(x[:4]) is None
            with pytest.raises(InputError, match="4 frames are too few"):
                stream.finish()
            assert stream.features() is None
            stream.reset()
            assert stream.push_prepared(x) is not None and stream.features() is not None


def test_streams_of_layers_that_change_the_length(genuine: tuple[Program, dict[str, Any]]) -> None:
    """The end is the answer of the clip there too, and there is none where a clip is too short."""
    for padding, frames in ((4, 8), (1, 8), (0, 5), (0, 4)):
        slots = [FeatureSlot(3), FeatureSlot(3, padding), FeatureSlot(3, 2), FeatureSlot(3)]
        copy = identity(3, **{"in": 0, "out": 1})
        wide = identity(3, **{"in": 1, "out": 2}, padding=padding, span=5, stride=2)
        last = identity(3, **{"in": 2, "out": 3}, padding=2, span=3)
        x = np.random.default_rng(frames).random((frames, 25, 3)).astype(np.float32)
        file = with_network(genuine, slots, [copy, wide, last])
        with Engine.from_bytes(file) as engine, engine.stream(window=frames) as stream:
            assert engine.is_continual
            stream.push_prepared(x)
            if frames + 2 * padding < 5:
                assert stream.finish() is None and stream.features() is None
                continue
            stream.finish()
            expected = engine.features(np.ascontiguousarray(x.transpose(1, 0, 2)))[0]
            np.testing.assert_allclose(stream.features(), expected, rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 7])
def test_parts_of_a_slot_with_different_delays(
    genuine: tuple[Program, dict[str, Any]], stride: int
) -> None:
    """The part that is ahead drops no frame, and is not dropped itself, before the other is there;
    nor where nobody reads them.
    """
    half = 32
    slots = [FeatureSlot(3), FeatureSlot(3, half), FeatureSlot(6), FeatureSlot(6), FeatureSlot(6)]
    copy, both = identity(3, **{"in": 0, "out": 1}), []
    for out in (2, 3):
        both += [
            identity(3, **{"in": 1, "out": out}),
            identity(3, **{"in": 1, "out": out}, channel=3, padding=half, span=2 * half + 1),
        ]
    last = identity(6, **{"in": 3, "out": 4}, stride=stride)
    x = np.random.default_rng(stride).random((200, 25, 3)).astype(np.float32)
    network = with_network(genuine, slots, [copy, *both, last])
    with Engine.from_bytes(network) as engine, engine.stream(window=1) as stream:
        assert engine.is_continual and stream.delay == half
        for t, frame in enumerate(x):
            due = t >= half and (t - half) % stride == 0
            assert (stream.push_prepared(frame) is not None) == due
            if due:
                expected = np.tile(x[t - half].mean(0), 2)
                np.testing.assert_allclose(stream.features(), expected, rtol=1e-5)


def test_scratch_memory_is_limited(genuine: tuple[Program, dict[str, Any]]) -> None:
    """Half a million relations would need gigabytes, in a file of few megabytes."""
    relations, square = 1 << 19, 25 * 32
    arrays = {
        "relate_weight": np.zeros((2 * relations, 3), np.float32),
        "relate_bias": np.zeros(2 * relations, np.float32),
        "fixed": np.zeros((1, 2, 25, 32), np.float32),
        "refine": np.zeros((1, 1, relations + 2), np.float32),
    }
    graph = Instruction("channel_graph", {"in": 0, "out": 1}, arrays)
    slots = [FeatureSlot(3), GraphSlot(square), FeatureSlot(3)]
    file = with_network(genuine, slots, [graph, identity(3, **{"in": 0, "out": 2})])
    with pytest.raises(InputError, match="more than 1024 MB"):
        Engine.from_bytes(file)


@pytest.mark.parametrize("part", ["slots", "instructions"])
def test_networks_are_limited(genuine: tuple[Program, dict[str, Any]], part: str) -> None:
    """Memory is planned in a time that grows with the square of their parts."""
    limit = 4096
    means = limit - 1 + (part == "instructions")
    slots = [FeatureSlot(64) for _ in range(limit - 1 + (part == "slots"))]
    slots = [FeatureSlot(3), *slots]
    slots[-1] = FeatureSlot(3)
    instructions = [identity(3, **{"in": 0, "out": len(slots) - 1})]
    instructions += [Instruction("mean_joint", {"at": 0}, {})] * means
    message = f"network 0 has {limit + 1} {part}, more than {limit}"
    with pytest.raises(InputError, match=message):
        Engine.from_bytes(with_network(genuine, slots, instructions))
    if part == "slots":
        del slots[1]
        instructions[0] = identity(3, **{"in": 0, "out": len(slots) - 1})
    else:
        del instructions[-1]
    with Engine.from_bytes(with_network(genuine, slots, instructions)) as engine:
        assert np.isfinite(engine.logits(np.ones((25, 8, 3), np.float32))).all()


@pytest.mark.parametrize("order", [(0, 3), (3, 0), (0, 2), (0, 0)])
def test_parts_of_a_slot_follow_each_other(
    genuine: tuple[Program, dict[str, Any]], order: tuple[int, int]
) -> None:
    """So the check needs one number of a slot, however many channels it has."""
    slots = [FeatureSlot(3), FeatureSlot(6)]
    instructions = [identity(3, **{"in": 0, "out": 1}, channel=channel) for channel in order]
    file = with_network(genuine, slots, instructions)
    if order == (0, 3):
        Engine.from_bytes(file).close()
    else:
        with pytest.raises(InputError, match=r"instruction \d.*slot"):
            Engine.from_bytes(file)


def test_the_networks_of_a_stream_share_its_limit(
    genuine: tuple[Program, dict[str, Any]],
) -> None:
    """Each of them needs most of a gigabyte."""
    channels, span = 512, 4096
    wide = identity(3, **{"in": 0, "out": 1})
    wide.arrays["starts"] = np.minimum(np.arange(channels + 1), 3).astype(np.int32)
    wide.arrays["bias"] = np.zeros(channels, np.float32)
    narrow = identity(3, **{"in": 1, "out": 2}, padding=span // 2, span=span)
    slots = [FeatureSlot(3), FeatureSlot(channels, span // 2), FeatureSlot(3)]
    with Engine.from_bytes(with_network(genuine, slots, [wide, narrow])) as engine:
        engine.stream().close()
    two = Engine.from_bytes(with_network(genuine, slots, [wide, narrow], 2))
    with two, pytest.raises(InputError, match="a stream needs more than a gigabyte"):
        two.stream()


def test_mutated_files(tmp_path: Path) -> None:
    """An error or an answer. By hand the harness runs longer, with sanitizers in all sources."""
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs g++ and Linux")
    source, found = Path(__file__).with_name("mutate.cpp"), library().path
    include = Path(sys.modules["pyg_stgcn.engine"].__path__[0]) / "include"
    words = ["-std=c++17", "-O0", f"-I{include}", source, found, f"-Wl,-rpath,{found.parent}"]
    subprocess.run([compiler, *map(str, words), "-o", str(tmp_path / "mutate")], check=True)
    files = []
    for name in ("stgcnpp", "aagcn", "ctrgcn", "dgstgcn"):
        torch.manual_seed(0)
        model = create_model(name, 2, "ntu25", base_channels=8, num_stages=1)
        files.append(tmp_path / f"{name}.stgcn")
        files[-1].write_bytes(engine_bytes(model, ["sit", "stand"], STEPS))
    call = [tmp_path / "mutate", 0, 600, *files]
    output = subprocess.run([str(word) for word in call], capture_output=True, text=True)
    assert output.returncode == 0, output.stdout
    opened = int(output.stdout.split()[2])
    assert 40 < opened < 400, output.stdout
