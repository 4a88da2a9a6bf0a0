"""The shared library of the engine, found beside this file and opened with ctypes."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from pyg_stgcn.errors import InputError

#: Version of the C interface, of ``include/stgcn.h``.
_VERSION = 1
_FOLDER = Path(__file__).parent
_SUFFIXES = (".so", ".pyd", ".dll", ".dylib")
_REMEDY = (
    "with a C++ compiler in place, install pyg-stgcn again with 'pip install --no-build-isolation'"
)
#: Bytes of the message of a model or stream that cannot be opened.
_MESSAGE = 1024
#: Result and arguments of every function. Arrays are addresses: NumPy gives them fast.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "version": (c_int,),
    "open": (c_void_p, c_char_p, c_int, c_char_p, c_size_t),
    "open_bytes": (c_void_p, c_char_p, c_size_t, c_int, c_char_p, c_size_t),
    "close": (None, c_void_p),
    "error": (c_char_p, c_void_p),
    "kernels": (c_char_p, c_void_p),
    "num_classes": (c_int, c_void_p),
    "num_joints": (c_int, c_void_p),
    "num_channels": (c_int, c_void_p),
    "num_features": (c_int, c_void_p),
    "clip_frames": (c_int, c_void_p),
    "is_planar": (c_int, c_void_p),
    "is_continual": (c_int, c_void_p),
    "class_name": (c_char_p, c_void_p, c_int),
    "about": (c_char_p, c_void_p),
    "classify": (
        *(c_int, c_void_p, c_void_p, c_int64, c_int64, c_int, c_float, c_float, c_int),
        c_void_p,
    ),
    "logits": (c_int, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p),
    "features": (c_int, c_void_p, c_void_p, c_void_p, c_int64, c_int64, c_void_p),
    "classify_features": (c_int, c_void_p, c_void_p, c_void_p),
    "stream_open": (
        *(c_void_p, c_void_p, c_int, c_int, c_float, c_float),
        *(c_char_p, c_size_t),
    ),
    "stream_close": (None, c_void_p),
    "stream_error": (c_char_p, c_void_p),
    "stream_reset": (None, c_void_p),
    "stream_delay": (c_int, c_void_p),
    "stream_push": (c_int, c_void_p, c_void_p, c_int64, c_int, c_void_p),
    "stream_push_prepared": (c_int, c_void_p, c_void_p, c_int64, c_void_p),
    "stream_finish": (c_int, c_void_p, c_void_p),
    "stream_features": (c_int, c_void_p, c_void_p),
}


class Library:
    """The functions of ``include/stgcn.h``, without the prefix of their names.

    Args:
        path: The shared library.

    Raises:
        InputError: It cannot be loaded, or has another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            opened = ctypes.CDLL(str(path))
            for name, (result, *arguments) in _FUNCTIONS.items():
                function = getattr(opened, f"stgcn_{name}")
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
            version = opened.stgcn_version()
        except (OSError, AttributeError) as error:
            raise InputError(f"{path}: cannot be loaded ({error}); {_REMEDY}") from None
        if version != _VERSION:
            raise InputError(
                f"{path}: has version {version} of the interface, not {_VERSION}; {_REMEDY}"
            )

    def __getattr__(self, name: str) -> Any:
        """Tells type checkers that there are functions; those that are there are found before."""
        raise AttributeError(name)

    def open_handle(self, name: str, *arguments: Any) -> int:
        """Call a function that opens a model or a stream, and give its handle.

        Raises:
            InputError: It cannot be opened.
        """
        message = ctypes.create_string_buffer(_MESSAGE)
        handle: int | None = getattr(self, name)(*arguments, message, _MESSAGE)
        if not handle:
            raise InputError(message.value.decode("utf-8", "replace"))
        return handle


@cache
def library() -> Library:
    """The library, loaded on the first call.

    Raises:
        InputError: There is none here, or it cannot be loaded.
    """
    found = [path for path in sorted(_FOLDER.glob("_stgcn*")) if path.suffix in _SUFFIXES]
    if not found:
        raise InputError(f"the library of the engine is missing ({_FOLDER}/_stgcn*.so); {_REMEDY}")
    return Library(found[0])
