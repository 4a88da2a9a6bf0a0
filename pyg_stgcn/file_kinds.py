"""Recognition of files that are read elsewhere, or not at all, and what to do with them."""

from __future__ import annotations

import contextlib
import io
import re
import reprlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pyg_stgcn.errors import InputError
from pyg_stgcn.walk import walk

_HEAD = 2**16
_ARRAYS = (
    "save its coordinates with numpy.save, an array of shape [persons, frames, joints, channels] "
    "for every clip, and read the folder with pyg-stgcn datasets import"
)
_POSES = (
    "read the folder of such files with pyg-stgcn datasets import, which writes a pickle of clips, "
    "or classify them with pyg-stgcn predict"
)
_WEIGHTS = (
    "to start a training from its weights, name it with --init; as data, name a pickle of clips"
)
_VIDEO = "find the poses in it with pyg-stgcn poses FILE --out poses.json"
_IMAGE = "run a pose estimator on the video that it is of, and name what that writes"
_UNPACK = "unpack it, and name what is in it"
_NTU = "read the folder of these files as dataset ntu60 (or ntu120), with --source FOLDER"

#: Place and first bytes, what the file is, and what to do with it.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file", f"read it with scipy.io.loadmat and {_ARRAYS}; "
     "those of UTD-MHAD are read from their zip archive, as dataset utd-mhad, with --source FILE"),
    (0, b"MATLAB 7.3", "a MATLAB file of version 7.3", f"read it with h5py and {_ARRAYS}"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", f"read it with h5py and {_ARRAYS}"),
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", "a checkpoint of PyTorch", _WEIGHTS),
    (0, b"HIERARCHY", "BVH motion capture", f"convert its rotations to joint positions and "
     f"{_ARRAYS}"),
    (0, b"BZh", "compressed with bzip2", "unpack it with bunzip2, and name the file in it"),
    (0, b"\xfd7zXZ\x00", "compressed with xz", "unpack it with unxz, and name the file in it"),
    (0, b"]\x00\x00", "compressed with LZMA", "unpack it with unlzma, and name the file in it"),
    (0, b"(\xb5/\xfd", "compressed with zstd", "unpack it with unzstd, and name the file in it"),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a rar archive", _UNPACK),
    (257, b"ustar\x0000", "a tar archive", _UNPACK),
    (257, b"ustar  \x00", "a tar archive", _UNPACK),
    (0, b"PAR1", "a Parquet table", f"read it with pandas and {_ARRAYS}"),
    (0, b"\x89PNG", "an image", _IMAGE),
    (0, b"\xff\xd8\xff", "an image", _IMAGE),
    (0, b"version https://git-lfs", "a placeholder of Git LFS", "fetch the file with git lfs pull"),
)  # fmt: skip
#: Bytes at the start of a file, and their places, by which containers of videos are recognised.
_VIDEOS = (
    (4, b"ftyp"),  # MP4, MOV
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"wide"),
    (8, b"AVI "),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (0, b"GIF8"),
    (0, b"FLV\x01"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF, WMV
    (0, b"\x00\x00\x01\xba"),  # MPEG
    (0, b"\x00\x00\x01\xb3"),
    (0, b"OggS"),
)
#: Length of a packet of an MPEG transport stream, which starts with a G.
_TRANSPORT = 188

_NTU_FILE = re.compile(rb"\d+\s*\r?\n\d+\s*\r?\n\d+(?: -?[\d.eE+-]+){9}\s*\r?\n")
#: Two or more numbers with blanks between them.
_NUMBERS = re.compile(rb"\s*[-+]?\.?\d[\d.eE+-]*(?:[ \t]+[-+]?\.?\d[\d.eE+-]*)+\s*")
_JSON = "where it is of a dataset with a name, read it as that, with --source FOLDER"
#: Words that only this kind of JSON file has.
_JSON_KINDS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b'"frame_index"', b'"skeleton"'), "JSON of Kinetics-skeleton",
     "read the folder of these files as dataset kinetics400-skeleton, with --source FOLDER"),
    ((b'"file_name"', b'"skeletons"'), "JSON of NW-UCLA",
     "read the folder of these files as dataset nw-ucla, with --source FOLDER"),
    ((b'"pose_keypoints_2d"',), "JSON of OpenPose, one file a frame", _POSES),
    ((b'"keypoints"',), "JSON of a pose estimator", _POSES),
    ((b'"joints"', b'"bones"'), "the JSON of a skeleton", "name it with --skeleton FILE"),
)  # fmt: skip


def is_video(head: bytes) -> bool:
    """Whether the first bytes of a file, some hundred of them, are those of a video.

    Example:
        >>> is_video(b"RIFF\\x00\\x00\\x00\\x00AVI LIST"), is_video(b'{"people": []}')
        (True, False)
    """
    if any(head.startswith(magic, place) for place, magic in _VIDEOS):
        return True
    return head[: 3 * _TRANSPORT : _TRANSPORT] == b"GGG"


def refuse_other_formats(path: Path, wanted: str = "a pickle") -> None:
    """Refuse a file whose first bytes are those of a format that is read elsewhere, or not at all.

    Args:
        path: The file.
        wanted: The format that is expected, for the error.

    Raises:
        InputError: If they are; it names the format, and the command or class that reads it.
        OSError: If the file cannot be read.
    """
    found = _recognise(path)
    if found is not None:
        raise InputError(f"{path}: is {found[0]}, not {wanted}; {found[1]}")


def describe_folder(path: Path, suffix: str) -> str:
    """The remedy for a folder that is named like a file of some suffix."""
    files = sorted(Path(parent, name) for parent, names in walk(path) for name in names)
    fitting = [file for file in files if file.suffix == suffix]
    if fitting:
        return f"is a folder, not a file; name a file in it, such as {fitting[0]}"
    for file in files[:1]:
        with contextlib.suppress(OSError):
            found = _recognise(file)
            if found is not None:
                return f"is a folder; {file.relative_to(path)} in it is {found[0]}: {found[1]}"
    return f"is a folder without a {suffix} file; name a file"


def describe_content(content: object) -> str:
    """Description of a pickle in an unexpected format: its type, and the entries of a dict."""
    if not isinstance(content, dict):
        described = _describe_value(content)
        return f"{'an' if described[0].lower() in 'aeiou' else 'a'} {described}"
    entries = [f"{_shown(key)} ({_describe_value(content[key])})" for key in list(content)[:8]]
    more = f" and {len(content) - 8} more" if len(content) > 8 else ""
    return f"a dict of {', '.join(entries)}{more}" if entries else "an empty dict"


def _describe_value(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, str | list | tuple | dict | set):
        return f"{type(value).__name__} of length {len(value)}"
    return type(value).__name__


def _shown(key: object) -> str:
    return reprlib.repr(key)[:40]


def _recognise(path: Path) -> tuple[str, str] | None:
    """The kind of a file and how to read it; ``None`` if it may be a pickle."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty", "fetch it again"
    for place, signature, what, remedy in _SIGNATURES:
        if head.startswith(signature, place):
            return what, remedy
    if is_video(head):
        return "a video", _VIDEO
    if head.startswith(b"\x93NUMPY"):
        return _describe_array(head)
    if head.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    if head.startswith(b"\x1f\x8b"):
        return _describe_compressed(head, "gzip", "unpack it with gunzip, and name the file in it")
    if head[:1] == b"x" and head[:2] in (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"):
        return _describe_compressed(head, "zlib", "unpack it, and name the file in it")
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "a safetensors file of weights", _WEIGHTS
    return _describe_text(head)


def _describe_array(head: bytes) -> tuple[str, str]:
    try:
        file = io.BytesIO(head)
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape = read(file)[0]
    except Exception:  # A damaged header can raise anything that a Python expression can.
        return "a damaged NumPy file", "fetch it again"
    if len(shape) in (3, 4):
        return f"a NumPy array of shape {shape}", _POSES
    order = ""
    # Where the last axis could be the channels, [persons, frames, joints, channels] is right.
    if len(shape) == 5 and shape[1] in (2, 3) and shape[4] not in range(shape[1], 5):
        order = "(0, 4, 2, 3, 1)"
    hint = f" (its axes look as if they needed .transpose{order})" if order else ""
    return f"a NumPy array of shape {shape}", f"read it with numpy.load and {_ARRAYS}{hint}"


def _describe_zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except Exception:  # Damaged bytes make zipfile raise more than BadZipFile.
        return "a damaged zip archive", "fetch it again"
    if {"data.pkl", "version"} <= {name.split("/")[-1] for name in names}:
        return "a checkpoint of PyTorch", _WEIGHTS
    if names and all(name.endswith(".npy") for name in names):
        arrays = ", ".join(name.removesuffix(".npy")[:40] for name in names[:6])
        return f"a NumPy archive of {arrays}", f"if its arrays are clips, {_POSES}"
    for suffix, dataset in (("_skeleton.mat", "utd-mhad"), (".skeleton", "ntu60 (or ntu120)")):
        if any(name.endswith(suffix) for name in names):
            return (
                f"a zip archive of {suffix} files",
                f"read it as dataset {dataset}, with --source FILE",
            )
    return (
        "a zip archive",
        "read it as the dataset that it is of, with --source FILE, or unpack it and name what is "
        "in it",
    )


def _describe_compressed(head: bytes, method: str, remedy: str) -> tuple[str, str]:
    try:
        start = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, 2**14)
    except zlib.error:
        start = b""
    if b"joblib" in start or (method == "zlib" and start.startswith(b"\x80")):
        return (
            f"compressed by joblib with {method}",
            "write it again with pickle.dump(joblib.load(FILE), ...)",
        )
    return f"compressed with {method}", remedy


def _describe_text(head: bytes) -> tuple[str, str] | None:
    if _NTU_FILE.match(head):
        return "a .skeleton file of NTU RGB+D", _NTU
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1].lower() == b"<":
        return "a web page or XML", "fetch the file itself; its server may ask for a login"
    if re.match(rb'\{\s*["}]|\[\s*[\[\]{"\d-]', text):
        for words, what, remedy in _JSON_KINDS:
            if all(word in text for word in words):
                return what, remedy
        return "JSON", f"{_JSON}; else load it and {_ARRAYS}"
    if _is_table(text):
        return (
            "a table in a text file",
            f"if its first row names the joints, as nose_x,nose_y, {_POSES}",
        )
    return None


def _is_table(text: bytes) -> bool:
    """Whether the first two lines have the same columns."""
    lines = text.splitlines()[:2]
    if len(lines) == 2 and all(_NUMBERS.fullmatch(line) for line in lines):
        return len(lines[0].split()) == len(lines[1].split())
    if len(lines) < 2 or any(byte < 32 and byte != ord("\t") for byte in b"".join(lines)):
        return False
    counts = [[line.count(separator) for separator in (b",", b";", b"\t")] for line in lines]
    return any(one == other > 0 for one, other in zip(*counts, strict=True))
