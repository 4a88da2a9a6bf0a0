"""Mutations of files of tensors: safetensors, sparse files, and files of torch.save."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from random import Random

import torch
from mutations import VALUES, drawn, mutated_bytes, mutated_value, nested
from safetensors.torch import load_file, save

from pyg_stgcn.sparsity.container import checksum

MIB = 2**20
TYPES = ["F32", "F16", "F64", "I64", "I8", "BOOL", "U64", "BF16", "F8_E4M3", "F8_E8M0", "C64", "X"]


def mutated_safetensors(data: bytes, rng: Random) -> bytes:
    """Change the header of a file of tensors, its numbers or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    entry = header[rng.choice(names)]
    kind = rng.randrange(6)
    if kind == 0:
        entry["dtype"] = rng.choice(TYPES)
    elif kind == 1:
        entry["shape"] = rng.choice(([], [10**9], entry["shape"][::-1], [*entry["shape"], 1], [-1]))
    elif kind == 2:
        name = rng.choice(names)
        header[rng.choice(("x", name + "x", "experts.7.x", "x" * 5000))] = header.pop(name)
    elif kind == 3:
        del header[rng.choice(names)]
    elif kind == 4:
        header = mutated_value(header, rng, VALUES)
    else:
        body = mutated_bytes(body, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def mutated_sparse(data: bytes, rng: Random) -> bytes:
    """Change the content of a sparse file, and correct its checksum."""
    if rng.random() < 0.3:
        return mutated_safetensors(data, rng)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(data)
        file.flush()
        stored = load_file(file.name)
    length = int.from_bytes(data[:8], "little")
    texts = json.loads(data[8 : 8 + length])["__metadata__"]
    content = json.loads(texts["pyg_stgcn.content"])
    name = rng.choice(list(stored))
    kind = rng.randrange(5)
    if kind < 3:
        content = mutated_value(content, rng, VALUES)
    elif kind == 3:
        stored[name] = mutated_tensor(stored[name], rng).contiguous().clone()
    else:
        del stored[name]
    text = json.dumps(content)
    header = json.loads(texts["pyg_stgcn"])
    header["crc32"] = checksum(stored, text)
    return save(stored, {"pyg_stgcn": json.dumps(header), "pyg_stgcn.content": text})


def mutated_tensor(tensor: torch.Tensor, rng: Random) -> torch.Tensor:
    """A tensor of other numbers, types or shapes."""
    kind = rng.randrange(6)
    if kind == 0:
        types = (torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8)
        return tensor.to(rng.choice(types))
    if kind == 1:
        return tensor.flatten()
    if kind == 2 and tensor.dim():
        return tensor[: rng.randrange(len(tensor) + 1)]
    if kind == 3 and tensor.is_floating_point():
        return torch.full_like(tensor, rng.choice((float("nan"), float("inf"), 1e30, 0.0)))
    if kind == 4:
        return torch.zeros(rng.choice((0, 1, 99)), dtype=tensor.dtype)
    return torch.roll(tensor.flatten(), 1).view(tensor.shape)


def mutated_checkpoint(data: bytes, rng: Random) -> bytes:
    """Change a tensor or an entry of a file of torch.save, its pickle or its bytes."""
    if rng.random() < 0.3:
        return mutated_bytes(data, rng)
    if rng.random() < 0.3 and zipfile.is_zipfile(io.BytesIO(data)):
        return mutated_member(data, rng)
    content = torch.load(io.BytesIO(data), weights_only=True)
    state = content.get("state_dict", content)
    name = rng.choice(list(state))
    kind = rng.randrange(9)
    if kind < 3:
        state[name] = mutated_tensor(state[name], rng)
    elif kind == 3:
        state[name] = torch.ones(1).expand(rng.choice(((3 * 10**9,), (60000, 60000), (2, 2))))
    elif kind == 4:
        state[rng.choice((5, ("a", 1), "x" * 10**4, "a\nb", "module.backbone.x", name + "x"))] = (
            state.pop(name)
        )
    elif kind == 5:
        state[name] = drawn(VALUES, rng)
    elif kind == 6:
        state[name] = rng.choice(
            (
                torch.eye(3).to_sparse(),
                torch.empty(10**12, device="meta"),
                torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
            )
        )
    elif kind == 7:
        for number in range(2000):
            state[f"x{number}"] = state[name]
    else:
        content = rng.choice((state[name], [content], nested(200), {"state_dict": state[name]}))
    target = io.BytesIO()
    torch.save(content, target, _use_new_zipfile_serialization=rng.random() < 0.7)
    return target.getvalue()


def mutated_member(data: bytes, rng: Random) -> bytes:
    """Change the bytes of a member of an archive, with its checksums put right."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        chosen = next(name for name in names if name.endswith("data.pkl"))
        if rng.random() < 0.3:
            chosen = rng.choice(names)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as copied:
            for name in names:
                part = archive.read(name)
                if name == chosen:
                    part = mutated_bytes(part, rng) if rng.random() < 0.9 else bytes(64 * MIB)
                method = zipfile.ZIP_DEFLATED if len(part) > 32 * MIB else zipfile.ZIP_STORED
                copied.writestr(name, part, method)
    return target.getvalue()
