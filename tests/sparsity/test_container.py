from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.sparsity import SparsityController, container, load_sparse, save_sparse, sparsify
from pyg_stgcn.sparsity.container import KINDS, VERSION, checksum


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def assert_same(read: dict[str, Tensor], written: dict[str, Tensor]) -> None:
    assert read.keys() == written.keys()
    for name, value in written.items():
        assert read[name].dtype == value.dtype, name
        assert read[name].shape == value.shape, name
        if value.numel():
            assert bits(read[name]).equal(bits(value.detach())), name


def with_zeros(shape: tuple[int, ...], sparsity: float, dtype: torch.dtype) -> Tensor:
    return (torch.rand(shape) >= sparsity).to(dtype) * (torch.randn(shape) * 50).to(dtype)


def test_size_at_95_percent(stgcn_shapes: nn.Module, tmp_path: Path) -> None:
    controller = sparsify(stgcn_shapes, 0.95)
    assert sum(entry.mask.numel() for entry in controller.masked) == 3_052_096
    state = controller.finalize().state_dict()
    save_sparse(tmp_path / "sparse.safetensors", state)
    save_file(state, tmp_path / "dense.safetensors")
    sizes = [(tmp_path / f"{kind}.safetensors").stat().st_size for kind in ("sparse", "dense")]
    assert sizes[0] <= 0.09 * sizes[1]
    # 5 % of the values, and the entropy of the mask: 0.286 bits per weight.
    least = 152_606 * 4 + 0.2864 * 3_052_096 / 8
    others = sum(v.numel() * v.element_size() for k, v in state.items() if "norm" in k)
    biases = sum(v.numel() * v.element_size() for k, v in state.items() if "conv.bias" in k)
    assert least < sizes[0] < 1.01 * (least + others + biases) + 40_000
    assert_same(load_sparse(tmp_path / "sparse.safetensors")[0], state)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int8,
        torch.uint8,
        torch.bool,
    ],
    ids=str,
)
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 1.0])
def test_every_type_comes_back_bit_by_bit(
    dtype: torch.dtype, sparsity: float, tmp_path: Path
) -> None:
    shapes = {"a": (40, 30, 3, 1), "b": (700,)}
    state = {name: with_zeros(shape, sparsity, dtype) for name, shape in shapes.items()}
    save_sparse(tmp_path / "file", state)
    assert_same(load_sparse(tmp_path / "file")[0], state)


def test_special_values_and_shapes(tmp_path: Path) -> None:
    special = torch.zeros(1000)
    special[[3, 4, 500, 999]] = torch.tensor([-0.0, math.nan, -math.inf, 1e-45])
    payload = torch.zeros(300, dtype=torch.int32)
    payload[7] = 0x7FC12345  # a NaN with something in it
    state = {
        "special": special,
        "nan": payload.view(torch.float32),
        "scalar": torch.tensor(3.5),
        "zero scalar": torch.tensor(0),
        "empty": torch.empty(0, 4),
        "transposed": with_zeros((40, 50), 0.9, torch.float32).T,
        "expanded": torch.tensor([0.0, 1.0]).expand(30, 2),
        "strided": with_zeros((40, 50), 0.9, torch.float32)[::2, ::3],
        "parameter": nn.Parameter(with_zeros((40, 50), 0.9, torch.float32)),
        "alias": special,
    }
    save_sparse(tmp_path / "file", state)
    assert_same(load_sparse(tmp_path / "file")[0], state)


@settings(deadline=None, max_examples=60)
@given(
    gaps=st.lists(
        st.one_of(st.integers(0, 4), st.sampled_from([253, 254, 255, 256, 509, 510, 511, 2000])),
        max_size=30,
    ),
    tail=st.integers(0, 600),
    cut=st.floats(0, 1),
)
def test_gaps_of_every_length(
    gaps: list[int], tail: int, cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    flat = torch.tensor([v for gap in gaps for v in [0] * gap + [1]] + [0] * tail, dtype=torch.int8)
    first = int(cut * len(flat))
    state = {"a": flat[:first], "b": flat[first:].view(-1, 1)}
    path = tmp_path_factory.getbasetemp() / "gaps"
    save_sparse(path, state)
    assert_same(load_sparse(path)[0], state)


def test_metadata_and_header(tmp_path: Path) -> None:
    path = tmp_path / "file"
    metadata = {"model": "stgcn", "options": {"width": 64}, "classes": ["a", "ä"]}
    save_sparse(path, {"w": with_zeros((8, 50), 0.9, torch.float32), "b": torch.ones(3)}, metadata)
    assert load_sparse(path)[1] == metadata
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["pyg_stgcn"])
        content = json.loads(file.metadata()["pyg_stgcn.content"])
    assert (header["format"], header["version"]) == ("pyg-stgcn-sparse", VERSION)
    assert content == {"kind": "weights", "sparse": {"w": [8, 50]}, "metadata": metadata}
    assert load_file(path)["b"].tolist() == [1, 1, 1]
    save_sparse(path, {})
    assert load_sparse(path) == ({}, {})


def test_pruned_network_computes_the_same_from_the_file(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv1d(4, 32, 5), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(26, 8))

    model, fresh = make(), make()
    x = torch.randn(2, 4, 30)
    sparsify(model, 0.9)
    model(x)
    expected = model.eval()(x)
    SparsityController(model).finalize()
    save_sparse(tmp_path / "file", model.state_dict())
    fresh.load_state_dict(load_sparse(tmp_path / "file")[0], strict=True)
    assert fresh.eval()(x).equal(expected)


@pytest.fixture
def sparse_file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_sparse(path, {"w": with_zeros((64, 50), 0.9, torch.float32), "b": torch.randn(40)})
    return path


def forge(path: Path, version: Any = VERSION, **change: Any) -> None:
    """Change the description of a file with its checksum, as somebody could who means ill."""
    with safe_open(path, framework="pt") as file:
        texts = file.metadata()
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    content = json.dumps(json.loads(texts["pyg_stgcn.content"]) | change)
    header = json.loads(texts["pyg_stgcn"])
    header |= {"version": version, "crc32": checksum(stored, content)}
    save_file(stored, path, {"pyg_stgcn": json.dumps(header), "pyg_stgcn.content": content})


def test_truncated_anywhere(sparse_file: Path) -> None:
    content = sparse_file.read_bytes()
    for size in [0, 4, 8, 100, len(content) // 2, len(content) - 1]:
        sparse_file.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"weights\.safetensors: damaged.*copy or write"):
            load_sparse(sparse_file)


def test_no_flipped_bit_goes_unnoticed(sparse_file: Path) -> None:
    content = sparse_file.read_bytes()
    intact = load_sparse(sparse_file)
    generator = torch.Generator().manual_seed(0)
    start = 8 + int.from_bytes(content[:8], "little")
    for position in torch.randint(start, len(content), (60,), generator=generator).tolist():
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        sparse_file.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged"):
            load_sparse(sparse_file)
    sparse_file.write_bytes(content)
    assert_same(load_sparse(sparse_file)[0], intact[0])


def test_damaged_header_is_refused_or_harmless(sparse_file: Path) -> None:
    content = sparse_file.read_bytes()
    intact = load_sparse(sparse_file)[0]
    for position in range(8 + int.from_bytes(content[:8], "little")):
        damaged = bytearray(content)
        damaged[position] ^= 4
        sparse_file.write_bytes(damaged)
        try:
            read = load_sparse(sparse_file)[0]
        except InputError:
            continue
        assert_same(read, intact)


def test_foreign_newer_and_missing_files(tmp_path: Path, sparse_file: Path) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "dense")
    with pytest.raises(InputError, match=r"no sparse file of pyg-stgcn; .*load_file, .*--init"):
        load_sparse(tmp_path / "dense")
    torch.save({"w": torch.ones(3)}, tmp_path / "pickle")
    with pytest.raises(InputError, match="not safetensors"):
        load_sparse(tmp_path / "pickle")
    with pytest.raises(InputError, match=r"cannot be read.*check the path"):
        load_sparse(tmp_path / "missing")
    with pytest.raises(InputError, match=r"cannot be read|damaged"):
        load_sparse(tmp_path)
    for version, message in (
        (VERSION + 1, f"version {VERSION + 1} .* newer than {VERSION}; update pyg-stgcn"),
        (VERSION - 1, f"version {VERSION - 1} .* older than {VERSION}; write it again"),
        ("two", "damaged"),
        (None, "damaged"),
    ):
        forge(sparse_file, version=version)
        with pytest.raises(InputError, match=message):
            load_sparse(sparse_file)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", KINDS)
def test_files_of_another_kind_say_what_they_are(kind: str, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    state = {"w": with_zeros((8, 50), 0.9, torch.float32)}
    save_sparse(path, state, {"a": 1}, kind=kind)
    if kind == wanted:
        read, metadata = load_sparse(path, kind=wanted)
        assert_same(read, state)
        assert metadata == {"a": 1}
        return
    (what, use), (expected, _) = KINDS[kind], KINDS[wanted]
    with pytest.raises(InputError) as error:
        load_sparse(path, kind=wanted)
    assert str(error.value) == f"{path}: is {what}, not {expected}; {use}"


@pytest.mark.parametrize("kind", ["model", 3, None, ["weights"], {"weights": 1}], ids=str)
def test_unknown_kinds_are_damage(sparse_file: Path, kind: Any) -> None:
    forge(sparse_file, kind=kind)
    with pytest.raises(InputError, match=r"weights\.safetensors: damaged"):
        load_sparse(sparse_file)


@pytest.mark.parametrize(
    "shape",
    [[10**6, 10**6], [2**40, 2**40], [64, 51], [64, 49], [-64, -50], [64.0, 50], "big", None, 7],
    ids=str,
)
def test_shapes_that_do_not_fit(sparse_file: Path, shape: Any) -> None:
    forge(sparse_file, sparse={"w": shape})
    if shape == [64, 51]:  # a longer tail of zeros, which the mask does not hold
        assert load_sparse(sparse_file)[0]["w"].shape == (64, 51)
        return
    with pytest.raises(InputError, match=r"weights\.safetensors: "):
        load_sparse(sparse_file)


def test_bombs_do_not_go_off(sparse_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(sparse_file, sparse={"w": [2**32]})
    with pytest.raises(InputError, match="17179869184 bytes of weights"):
        load_sparse(sparse_file)
    monkeypatch.setattr(container, "_FREE_BYTES", 1000)
    with pytest.raises(InputError, match="4000000 bytes of weights"):
        save_sparse(sparse_file, {"zeros": torch.zeros(1_000_000)})


def test_other_entries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(InputError, match="'step' is no dense tensor"):
        save_sparse(path, {"step": 3})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="'w' is no dense tensor"):
        save_sparse(path, {"w": torch.eye(3).to_sparse()})
    with pytest.raises(InputError, match="cannot be stored"):
        save_sparse(path, {"w": torch.ones(3, dtype=torch.complex128)})
    with pytest.raises(InputError, match="cannot be stored"):
        save_sparse(path, {"w": torch.ones(3)}, {"path": path})
    assert list(tmp_path.iterdir()) == []


def test_failed_writes_leave_what_was_there(sparse_file: Path, tmp_path: Path) -> None:
    content = sparse_file.read_bytes()
    with pytest.raises(InputError, match="cannot be stored"):
        save_sparse(sparse_file, {"w": torch.ones(3)}, {"bad": object()})
    with pytest.raises(InputError, match=r"cannot be written \(No such file"):
        save_sparse(tmp_path / "no" / "folder", {"w": torch.ones(3)})
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory"):
        save_sparse(sparse_file / "below", {"w": torch.ones(3)})
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot be written \(Is a directory"):
        save_sparse(tmp_path / "folder", {"w": torch.ones(3)})
    assert sparse_file.read_bytes() == content
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "weights.safetensors"]
