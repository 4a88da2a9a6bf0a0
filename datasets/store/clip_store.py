"""One store for all datasets: a flat, memory-mapped array of frames and a small table."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.datasets.store.fingerprint import SOURCE_NOTE
from pyg_stgcn.datasets.store.npy import NpyWriter, open_npy
from pyg_stgcn.datasets.store.place import (
    check_place,
    make_temporary,
    remove_leftovers,
    replace_folder,
)
from pyg_stgcn.datasets.store.present_joints import pack, unpack
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file

FORMAT = 4

_META = "meta.json"
_KEYPOINT, _TABLE, _NAMES, _SPLITS = "keypoint.npy", "table.npy", "names.npy", "splits.npy"
_PRESENT = "present.npy"
_DATA_FILES = (_KEYPOINT, _PRESENT, _TABLE, _NAMES, _SPLITS)
#: Files whose checksums are kept clip by clip in the table: summing all would read them whole.
_BY_CLIP = {_KEYPOINT: "crc32", _PRESENT: "present_crc32"}
#: All that may lie in the folder of a store.
_STORE_FILES = (_META, *_DATA_FILES, SOURCE_NOTE)
_TABLE_DTYPE = np.dtype(
    [
        ("row", "<i8"),
        ("persons", "<i4"),
        ("frames", "<i4"),
        ("label", "<i4"),
        ("crc32", "<u4"),
        ("present_crc32", "<u4"),
        ("height", "<f4"),
        ("width", "<f4"),
        ("name_end", "<i8"),
    ]
)


@dataclass(frozen=True)
class Clip:
    """One recorded action.

    Args:
        name: Name of the clip, unique within its dataset.
        label: Class number, counted from 0.
        keypoint: Joint coordinates of all persons in all frames. 2-D data hold
            :math:`(x, y, \\textrm{score})`.
        image_size: Height and width of the image in pixels, for 2-D data.
        present: Where joints are present. A reader that knows, as from a confidence, gives it;
            those that the coordinates show to be missing are so in any case, see
            :mod:`pyg_stgcn.datasets.store.present_joints`. ``None`` leaves it to the coordinates.

    Shapes:
        - **keypoint:** :math:`(M, T, V, C)`
        - **present:** :math:`(M, T, V)`
    """

    name: str
    label: int
    keypoint: NDArray[np.floating[Any]]
    image_size: tuple[float, float] | None = None
    present: NDArray[np.bool_] | None = None


class ClipStore:
    """A read-only collection of clips in a folder.

    The frames of all persons of all clips lie one after the other in ``keypoint.npy``, an array of
    shape :math:`(\\sum M T, V, C)` that is mapped into memory and never read as a whole: opening a
    store costs milliseconds whatever its size, and all processes share the same pages.
    ``present.npy`` says which of their joints are present, a bit each. A row of ``table.npy`` says
    where a clip starts, how many persons and frames it has, its label, checksums and image size.
    ``meta.json`` holds everything else.

    A store is made by :meth:`build` and opened by :meth:`open`. A copied or pickled store refers to
    the folder and maps it again on first use.
    """

    def __init__(self, folder: str | os.PathLike[str], meta: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.meta = meta
        self._arrays: dict[str, NDArray[Any]] = {}

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> ClipStore:
        """Open the store in :obj:`folder`.

        Raises:
            InputError: If a file is missing, damaged, or of another format version. The joint
                coordinates themselves are checked clip by clip when they are read.
        """
        folder = Path(folder)
        meta = _read_meta(folder)
        store = cls(folder, meta)
        store._map()
        return store

    @classmethod
    def build(
        cls,
        folder: str | os.PathLike[str],
        clips: Iterable[Clip],
        meta: Mapping[str, Any],
        late_meta: Callable[[], Mapping[str, Any]] = dict,
    ) -> ClipStore:
        """Write :obj:`clips`, one after the other, into a new store at :obj:`folder`.

        The store appears in one step when it is complete. A store that was at :obj:`folder` is
        replaced; a folder with anything else is refused.

        Args:
            folder: Where the store shall be.
            clips: The clips, all with the same number of joints and channels.
            meta: JSON-serialisable metadata to keep. ``meta["splits"]`` maps the name of a split to
                the names of its clips, ``meta["dtype"]`` is ``"float16"`` or ``"float32"``.
            late_meta: Gives entries of :obj:`meta` that are known only after the last clip.

        Raises:
            InputError: If the folder cannot be written or is none of ours, the disk is full, there
                is no clip, a name occurs twice or a split names a clip that is not there. Nothing
                is left behind.
        """
        folder = Path(folder)
        temporary: Path | None = None
        try:
            cls.check_place(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder, _STORE_FILES)
            temporary = make_temporary(folder)
            _write(temporary, clips, meta, late_meta)
            replace_folder(temporary, folder)
        except OSError as error:
            raise _write_error(folder, error) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
        return cls.open(folder)

    @staticmethod
    def check_place(folder: str | os.PathLike[str]) -> None:
        """Refuse a :obj:`folder` that is there and is no store, as :meth:`build` does.

        Raises:
            InputError: If it is not empty and holds something else.
        """
        check_place(Path(folder), _STORE_FILES)

    def __len__(self) -> int:
        return int(self.meta["files"][_TABLE]["rows"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, clips={len(self)})"

    def __getitem__(self, i: int) -> Clip:
        """Read clip number :obj:`i`; its keypoint is a read-only view into the mapped file.

        Raises:
            InputError: If the coordinates on disk are not those that were written.
        """
        entry = self._map()[_TABLE][i]
        persons, frames, row = int(entry["persons"]), int(entry["frames"]), int(entry["row"])
        parts = {name: self._arrays[name][row : row + persons * frames] for name in _BY_CLIP}
        for name, field in _BY_CLIP.items():
            if zlib.crc32(parts[name].data) != int(entry[field]):
                raise InputError(
                    f"{self.folder / name}: damaged, clip {self.name(i)!r} has another checksum "
                    "than when it was written; delete the folder or build it again with "
                    "force_reload=True"
                )
        rows = parts[_KEYPOINT]
        present = unpack(parts[_PRESENT], rows.shape[1])
        height, width = float(entry["height"]), float(entry["width"])
        return Clip(
            name=self.name(i),
            label=int(entry["label"]),
            keypoint=rows.reshape(persons, frames, *rows.shape[1:]),
            image_size=None if np.isnan(height) else (height, width),
            present=present.reshape(persons, frames, -1),
        )

    def name(self, i: int) -> str:
        """Name of clip number :obj:`i`."""
        ends = self._map()[_TABLE]["name_end"]
        start = int(ends[i - 1]) if i > 0 else 0
        return self._arrays[_NAMES][start : int(ends[i])].tobytes().decode()

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of all clips."""
        return self._map()[_TABLE]["label"].astype(np.int64)

    @property
    def num_frames(self) -> NDArray[np.int64]:
        """Numbers of frames of all clips."""
        return self._map()[_TABLE]["frames"].astype(np.int64)

    @property
    def num_persons(self) -> NDArray[np.int64]:
        """Numbers of persons of all clips."""
        return self._map()[_TABLE]["persons"].astype(np.int64)

    @property
    def checksums(self) -> NDArray[np.uint32]:
        """CRC-32 of the coordinates of all clips."""
        return self._map()[_TABLE]["crc32"].astype(np.uint32)

    @property
    def num_channels(self) -> int:
        """Number of channels of a joint."""
        return int(self._map()[_KEYPOINT].shape[-1])

    def present_in(self, clips: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Present joints in the frames of all persons of several clips, one after the
        other; checksums are not read.

        Shapes:
            - **output:** :math:`(\\sum M T, V)`
        """
        entries = self._map()[_TABLE][clips]
        lengths = entries["persons"].astype(np.int64) * entries["frames"]
        # How far the clip of each row lies from where it goes to.
        shifts = np.repeat(entries["row"] - (lengths.cumsum() - lengths), lengths)
        bits = self._arrays[_PRESENT][np.arange(len(shifts)) + shifts]
        return unpack(bits, self._arrays[_KEYPOINT].shape[1])

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.meta["splits"])

    def split(self, name: str) -> NDArray[np.int64]:
        """Numbers of the clips of the split :obj:`name`."""
        start, stop = self.meta["splits"][name]
        return self._map()[_SPLITS][start:stop].astype(np.int64)

    def _map(self) -> dict[str, NDArray[Any]]:
        """Map the files into this process, unless that is done."""
        if not self._arrays:
            meta = _read_meta(self.folder)
            if meta["id"] != self.meta["id"]:
                raise InputError(
                    f"{self.folder}: another process built this store again after it was opened; "
                    "open the dataset again, and give every pre_transform its own root"
                )
            self._arrays = {name: _open_file(self.folder / name, meta) for name in _DATA_FILES}
        return self._arrays

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "meta": self.meta, "_arrays": {}}


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / _META
    check_is_file(path)
    try:
        content = json.loads(path.read_bytes())
        meta, crc32 = content["store"], content["crc32"]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged, it does not describe a store ({error!r})") from error
    if _json_crc32(meta) != crc32:
        raise InputError(f"{path}: damaged, its checksum is not the one recorded")
    if meta["format"] != FORMAT:
        raise InputError(f"{path}: written in format {meta['format']}, this version has {FORMAT}")
    for name, recorded in meta["files"].items():
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise InputError(f"{folder / name}: cannot be read ({error.strerror})") from error
        if size != recorded["size"]:
            raise InputError(
                f"{folder / name}: damaged, {size} bytes instead of {recorded['size']}"
            )
    return meta


def _json_crc32(meta: Any) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _open_file(path: Path, meta: dict[str, Any]) -> NDArray[Any]:
    try:
        return open_npy(path, meta["files"][path.name], check_data=path.name not in _BY_CLIP)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged, {error}") from error


def _write(
    folder: Path,
    clips: Iterable[Clip],
    meta: Mapping[str, Any],
    late_meta: Callable[[], Mapping[str, Any]],
) -> None:
    numbers: dict[str, int] = {}
    shape: tuple[int, ...] = ()
    with ExitStack() as stack:

        def create(name: str, dtype: Any, item_shape: tuple[int, ...] = ()) -> NpyWriter:
            writer = NpyWriter(folder / name, np.dtype(dtype), item_shape)
            stack.callback(writer.close)
            return writer

        table = create(_TABLE, _TABLE_DTYPE)
        names = create(_NAMES, np.uint8)
        keypoint: NpyWriter | None = None
        for clip in clips:
            if keypoint is None:
                shape = clip.keypoint.shape[2:]
                keypoint = create(_KEYPOINT, np.dtype(meta["dtype"]).newbyteorder("<"), shape)
                present = create(_PRESENT, np.uint8, (-(-shape[0] // 8),))
            if clip.keypoint.shape[2:] != shape:
                raise InputError(
                    f"clip {clip.name!r} has {_describe(clip.keypoint.shape[2:])}, the clips "
                    f"before it have {_describe(shape)}; all clips of a dataset must agree"
                )
            if numbers.setdefault(clip.name, len(numbers)) != table.rows:
                raise InputError(f"clip name {clip.name!r} occurs twice; names must be unique")
            row = keypoint.rows
            crc32 = keypoint.append(clip.keypoint)
            crc32s = crc32, present.append(pack(clip.keypoint, clip.present))
            names.append(np.frombuffer(clip.name.encode(), np.uint8))
            persons, frames = clip.keypoint.shape[:2]
            size = clip.image_size or (np.nan, np.nan)
            entry = (row, persons, frames, clip.label, *crc32s, *size, names.rows)
            table.append(np.array([entry], _TABLE_DTYPE))
        if keypoint is None:
            raise InputError("there is no clip in it; check that it is the right file")
        meta = {**meta, **late_meta()}
        splits = create(_SPLITS, "<i4")
        ranges = _write_splits(splits, meta["splits"], numbers)
        written = (keypoint, present, table, names, splits)
        writers = dict(zip(_DATA_FILES, written, strict=True))
        files = {name: writer.finish() for name, writer in writers.items()}
    own = {"format": FORMAT, "id": uuid.uuid4().hex, "files": files, "splits": ranges}
    # Through JSON and back, so that what is summed is what will be read.
    stored = json.loads(json.dumps({**meta, **own}))
    with (folder / _META).open("w") as file:
        json.dump({"crc32": _json_crc32(stored), "store": stored}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _describe(shape: Sequence[int]) -> str:
    return f"{shape[0]} joints of {shape[1]} channels"


def _write_splits(
    writer: NpyWriter, splits: Mapping[str, Sequence[str]], numbers: Mapping[str, int]
) -> dict[str, tuple[int, int]]:
    ranges = {}
    for split, names in splits.items():
        missing = [name for name in names if name not in numbers]
        if missing:
            shown = ", ".join(repr(name) for name in missing[:3])
            raise InputError(
                f"split {split!r} names {len(missing)} clips that are not in the data "
                f"({shown}{', ...' if len(missing) > 3 else ''}); correct the split"
            )
        start = writer.rows
        writer.append(np.array([numbers[name] for name in names], np.int32))
        ranges[split] = (start, writer.rows)
    return ranges


def _write_error(folder: Path, error: OSError) -> InputError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space or" if full else "make it writable or"
    return InputError(
        f"{folder}: the store cannot be written ({error.strerror or error}); {remedy} choose "
        "another folder with --root"
    )
