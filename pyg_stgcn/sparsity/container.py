"""The container of all sparse files: kept values and coded bit masks, in safetensors."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pyg_stgcn.checked import brief, shown
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file, write_atomically
from pyg_stgcn.jsonfile import parse_json

FORMAT = "pyg-stgcn-sparse"
VERSION = 2
#: Kinds of sparse file: their names in messages, and what reads them.
KINDS = {
    "weights": ("sparse weights", "read them with pyg_stgcn.sparsity.load_sparse"),
    "ticket": ("a lottery ticket", "train it with 'pyg-stgcn train --ticket FILE'"),
    "recognizer": ("an exported model", "load it with pyg_stgcn.recognition.Recognizer.load"),
}
_HEADER = "pyg_stgcn"
_CONTENT = "pyg_stgcn.content"
_MASK = "pyg_stgcn.mask"
# A gap of this many zeros or more continues in the next byte.
_LONG = 255
_REMEDY = "copy or write it again"
# A file of a few kilobytes must not be able to ask for all memory. 1/1024 of all weights is a
# hundredth of what 99 % sparse networks keep.
_FREE_BYTES = 64 << 20
_MAX_RATIO = 1024


def save_sparse(
    path: str | os.PathLike[str],
    state_dict: Mapping[str, Tensor],
    metadata: Mapping[str, Any] | None = None,
    *,
    kind: str = "weights",
) -> None:
    """Write a state dict without the zeros of the tensors that have enough of them.

    Values are kept bit by bit: negative zeros and NaN come back as they were. The masks of all
    tensors are one stream of gaps between kept values, one byte each, Huffman-coded. At random
    positions that is within 2 % of the entropy (at 95 % zeros a bit mask takes 3.5 times as much
    raw, and 4 % more Huffman-coded).

    Args:
        path (str or os.PathLike): File to write; replaced only once the new one is complete.
        state_dict (dict): Tensors by name, such as the state dict of a finalised module.
        metadata (dict, optional): Anything that JSON can hold, given back by :func:`load_sparse`.
        kind (str): One of :data:`KINDS`. Tickets and exported models have their own functions:
            :func:`save_ticket` and :func:`pyg_stgcn.recognition.save`.

    Raises:
        InputError: If the file cannot be written, or an entry cannot be stored.

    Example:
        >>> save_sparse("gcn.safetensors", model.state_dict(), {"width": 64})
        >>> state_dict, metadata = load_sparse("gcn.safetensors")
    """
    assert kind in KINDS, kind
    path = Path(path)
    stored, shapes = _pack(path, state_dict)
    try:
        content = json.dumps({"kind": kind, "sparse": shapes, "metadata": dict(metadata or {})})
        header = {"format": FORMAT, "version": VERSION, "crc32": checksum(stored, content)}
        data = save(stored, {_HEADER: json.dumps(header), _CONTENT: content})
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be stored ({error}); give tensors of real numbers and plain metadata"
        ) from error
    _check_size(path, stored, shapes, len(data))
    try:
        write_atomically(path, lambda file: file.write_bytes(data))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose another folder"
        ) from error


def load_sparse(
    path: str | os.PathLike[str], *, kind: str = "weights"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`save_sparse`.

    Args:
        path (str or os.PathLike): File to read.
        kind (str): The kind that it must be of.

    Returns:
        tuple: The state dict, dense, on the CPU, and the metadata.

    Raises:
        InputError: If the file is missing, damaged, of another kind or of another version.
    """
    path = Path(path)
    check_is_file(path)
    try:
        stored, content = _read(path, kind)
        _check_size(path, stored, content["sparse"], path.stat().st_size)
        return _unpack(stored, content["sparse"]), dict(content["metadata"])
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({brief(error)}); check the path") from error
    except (
        *(SafetensorError, LookupError, TypeError, ValueError, AttributeError, zlib.error),
        *(RuntimeError, ArithmeticError, MemoryError),
    ) as error:
        raise InputError(
            f"{path}: damaged, or not safetensors ({brief(error)}); {_REMEDY}"
        ) from error


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        texts = file.metadata() or {}
        header = parse_json(texts.get(_HEADER, "{}"), str(path), _REMEDY)
        if header.get("format") != FORMAT:
            raise InputError(
                f"{path}: safetensors, but no sparse file of pyg-stgcn; read it with "
                "safetensors.torch.load_file, or train from it with 'pyg-stgcn train --init FILE'"
            )
        if header["version"] != VERSION:
            newer = header["version"] > VERSION
            raise InputError(
                f"{path}: written in version {shown(header['version'])} of the format, "
                f"{'newer' if newer else 'older'} than {VERSION}; "
                f"{'update pyg-stgcn' if newer else 'write it again'}"
            )
        content = parse_json(texts[_CONTENT], str(path), _REMEDY)
        if (found := content["kind"]) != kind:
            what, use = KINDS[found]
            raise InputError(f"{path}: is {what}, not {KINDS[kind][0]}; {use}")
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if header["crc32"] != checksum(stored, texts[_CONTENT]):
        raise ValueError("the checksum differs")
    return stored, content


def describe(texts: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and use of a sparse file, as in :data:`KINDS`; ``None`` for other safetensors.

    Args:
        texts (dict): The metadata of a safetensors file.
    """
    try:
        if json.loads(texts[_HEADER])["format"] == FORMAT:
            return KINDS[json.loads(texts[_CONTENT])["kind"]]
    except (LookupError, TypeError, ValueError, RecursionError):
        pass
    return None


def _pack(
    path: Path, state_dict: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Tensors to store, and the shapes of the sparse ones."""
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    masks: list[Tensor] = []
    for name, value in state_dict.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or name == _MASK:
            raise InputError(f"{path}: {name!r} is no dense tensor under a free name; leave it out")
        flat = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format).flatten()
        nonzero = _nonzero_bits(flat)
        num_zeros = flat.numel() - int(torch.count_nonzero(nonzero))
        # Worth it wherever a raw mask, of one bit a value, takes less than the zeros.
        if num_zeros * flat.element_size() > flat.numel() / 8:
            shapes[name] = list(value.shape)
            stored[name] = flat[nonzero]
            masks.append(nonzero)
        else:
            stored[name] = flat.view(value.shape)
    if masks:
        stored[_MASK] = _encode_mask(torch.cat(masks))
    return stored, shapes


def _unpack(stored: dict[str, Tensor], shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Put the kept values of every sparse tensor back in their places."""
    state_dict = {name: value for name, value in stored.items() if name != _MASK}
    if not shapes:
        return state_dict
    starts = torch.tensor([0, *(math.prod(shape) for shape in shapes.values())]).cumsum(0)
    num_kept = sum(stored[name].numel() for name in shapes)
    positions = _decode_mask(stored[_MASK], int(starts[-1]), num_kept)
    bounds = torch.searchsorted(positions, starts).tolist()
    for i, (name, shape) in enumerate(shapes.items()):
        values = stored[name]
        inside = positions[bounds[i] : bounds[i + 1]] - starts[i]
        if len(inside) != values.numel():
            raise ValueError(f"the mask does not fit the values of {name}")
        dense = torch.zeros(math.prod(shape), dtype=values.dtype)
        dense[inside] = values
        state_dict[name] = dense.view(shape)
    return state_dict


def checksum(stored: dict[str, Tensor], content: str) -> int:
    """CRC-32 of the content of a file: text, and names, types, shapes and bits of its tensors."""
    value = zlib.crc32(content.encode())
    for name in sorted(stored):
        tensor = stored[name]
        value = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), value)
        if tensor.numel():
            value = zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data, value)
    return value


def _nonzero_bits(flat: Tensor) -> Tensor:
    """Mask of the values of a flat tensor with any bit set, as a negative zero has."""
    if flat.numel() == 0:
        return torch.empty(0, dtype=torch.bool)
    return (flat.view(torch.uint8).view(flat.numel(), flat.element_size()) != 0).any(1)


def _encode_mask(mask: Tensor) -> Tensor:
    """Code a bit mask as gaps: a byte of 255 continues, any other ends with a kept value."""
    positions = mask.nonzero().flatten()
    gaps = torch.diff(positions, prepend=torch.tensor([-1])) - 1
    long = gaps // _LONG
    ends = (long + 1).cumsum(0)
    coded = torch.full((int(ends[-1]) if len(ends) else 0,), _LONG, dtype=torch.uint8)
    coded[ends - 1] = (gaps % _LONG).to(torch.uint8)
    # Gaps have no repeated strings to find: plain Huffman coding is smaller, and faster.
    compressor = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    content = compressor.compress(coded.numpy().tobytes()) + compressor.flush()
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _decode_mask(coded: Tensor, numel: int, num_kept: int) -> Tensor:
    """Positions of the kept values, checked against the numbers declared."""
    # A byte of the code is a kept value or 255 zeros: a valid code is no longer than this.
    longest = num_kept + numel // _LONG
    decompressor = zlib.decompressobj()
    content = decompressor.decompress(coded.numpy().tobytes(), longest + 1)
    if len(content) > longest or not decompressor.eof:
        raise ValueError("the mask does not end where it should")
    if not content and num_kept == 0:
        return torch.empty(0, dtype=torch.long)
    gaps = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    ends = gaps != _LONG
    positions = ((gaps.long() + ends).cumsum(0) - 1)[ends]
    if len(positions) != num_kept or int(positions[-1]) >= numel:
        raise ValueError("the mask does not fit the shapes")
    return positions


def _check_size(
    path: Path, stored: dict[str, Tensor], shapes: dict[str, list[int]], file_bytes: int
) -> None:
    """Refuse shapes that declare much more memory than a file of this size can fill."""
    declared = 0
    for name, shape in shapes.items():
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"{shown(name)} has the shape {shown(shape)}")
        declared += math.prod(shape) * stored[name].element_size()
    if declared > _FREE_BYTES + _MAX_RATIO * file_bytes:
        raise InputError(
            f"{path}: {file_bytes} bytes declare {declared} bytes of weights, more than "
            f"{_MAX_RATIO} times as many; keep such a state dict as dense safetensors"
        )
