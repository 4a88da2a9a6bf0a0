"""Reader of foreign pickles that runs none of their code.

A pickle is a program. These may build plain containers, numbers, texts and NumPy arrays of numbers
or texts; the first name of anything else ends the reading before it is looked up.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_is_file
from pyg_stgcn.pickled import (
    ALLOWED,
    LONGEST_KEY,
    MOST_NUMBERS,
    Array,
    DType,
    RefusedError,
    check_keys,
)

#: Containers within containers. Annotations take five; every consumer would have to fear more.
_DEEPEST = 32
#: Bits of an integer, far more than any file needs.
_LONGEST_INTEGER = 2**15
#: Bytes that even a file of a few bytes may build.
_FREE_BYTES = 2**20
_CONTAINERS = (dict, list, tuple)
_SIZED = (*_CONTAINERS, set, frozenset)
#: Entries of all containers: so many, and so many for each byte of the file. Each takes two bytes
#: of a file, or none where a whole list is in several places.
_FREE_PARTS, _MOST_PARTS = 10**6, 4
_WITH_STATE = (Array, DType)
#: What a call may make of the same data again and again.
_HASHED = (set, frozenset, OrderedDict)
_COPIES = (bytes, *_HASHED)
_REMEDIES = {
    "torch": "It holds PyTorch tensors: convert them with .numpy() and write the pickle again",
    "joblib": "It was written by joblib: convert it with pickle.dump(joblib.load(FILE), ...)",
    "pandas": "It holds pandas tables: convert them with .to_numpy() and write the pickle again",
}


def load_pickle(
    path: str | os.PathLike[str], refuse: Callable[[Path], object] | None = None
) -> Any:
    """Load a pickle of plain containers and NumPy arrays.

    Arrays and scalars may have been written by any version of NumPy and with any protocol. The
    texts and bytes of Python 2, which look the same in a pickle, become texts, read as Latin 1.

    Time and memory are bounded by the length of the file, whatever it holds: keys of dicts and
    members of sets are texts, numbers or short tuples of these, with at most 20,000 numbers in a
    file, containers are nested at most 32 deep, and what is built of the same data again and again
    may not be longer than twice the file.

    Args:
        path: The file.
        refuse: Called first, to refuse files of other formats by an error of its own.

    Raises:
        InputError: If the file cannot be read, is no pickle, or names anything else.
    """
    path = Path(path)
    check_is_file(path)
    try:
        if refuse is not None:
            refuse(path)
        with path.open("rb") as file:
            content = _RestrictedUnpickler(file, path.stat().st_size).load()
        _check_depth(content)
        _check_size(content, path.stat().st_size)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except RefusedError as error:
        raise InputError(
            f"{path}: the pickle asks for {error}, which is refused; nothing of it was executed. "
            f"{_remedy(str(error))}"
        ) from None
    except MemoryError:
        raise InputError(f"{path}: the pickle asks for more memory than there is") from None
    except Exception as error:  # Damaged bytes can raise anything a container or array can.
        raise InputError(f"{path}: {_describe_damage(path, error)}") from error
    return content


def _describe_damage(path: Path, error: Exception) -> str:
    """The reason why a file cannot be read as a pickle."""
    with path.open("rb") as file:
        if file.read(1) == b"\x80":  # The first byte of every pickle since protocol 2.
            return f"not a complete pickle ({_shorten(error)}); fetch it again"
    return (
        "not a pickle, or a damaged one; name a pickle of clips (see the documentation of "
        "SkeletonPickle), or fetch the file again"
    )


def _remedy(refused: str) -> str:
    package = refused.strip("'\"").partition(".")[0]
    return _REMEDIES.get(
        package,
        "Only dicts, lists, numbers, texts and NumPy arrays of them are read: convert the rest "
        "to these",
    )


def _shorten(error: Exception) -> str:
    line = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return line if len(line) <= 200 else f"{line[:197]}..."


def _check_depth(content: Any) -> None:
    """Refuse containers that lie too deep in others, or in themselves.

    All containers of one depth are looked at once, however many paths lead to them.
    """
    level = [content]
    for _ in range(_DEEPEST):
        parts = chain.from_iterable(map(_parts, level))
        inner = {id(part): part for part in parts if isinstance(part, _CONTAINERS)}
        if not inner:
            return
        level = list(inner.values())
    raise RefusedError(f"containers nested more than {_DEEPEST} deep")


def _check_size(content: Any, file_size: int) -> None:
    """Refuse containers that hold the same ones again and again: readers visit each every time."""
    sizes: dict[int, int] = {}

    def size(container: Any) -> int:
        found = sizes.get(id(container))
        if found is None:
            inner = [part for part in _parts(container) if isinstance(part, _SIZED)]
            found = sizes[id(container)] = len(container) + sum(map(size, inner))
        return found

    if isinstance(content, _SIZED) and size(content) > _FREE_PARTS + _MOST_PARTS * file_size:
        raise RefusedError("the same lists again and again")


def _parts(container: Any) -> Iterable[Any]:
    if isinstance(container, dict):
        return container.values()
    return container if isinstance(container, _CONTAINERS) else ()


def _short_integer(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """Refuse integers of which printing or multiplying would take for ever."""

    def load_short(self: _RestrictedUnpickler) -> None:
        load(self)
        bits = self.stack[-1].bit_length()
        if bits > _LONGEST_INTEGER:
            raise RefusedError(f"an integer of {bits} bits")

    return load_short


# The implementation in Python: that in C reserves memory for any number that a damaged or hostile
# file gives as the place of an object, up to 64 GiB.
class _RestrictedUnpickler(pickle._Unpickler):
    stack: list[Any]
    memo: dict[int, Any]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, encoding="latin1")
        self._size = size
        # Bytes of a file are copied at most twice: from a text to bytes and on to an array.
        self._budget = 2 * size + _FREE_BYTES
        self._numbers = MOST_NUMBERS

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            # As Python would write it: a damaged name may hold anything.
            raise RefusedError(repr(f"{module}.{name}"[:80])) from None

    def _instantiate(self, klass: Any, args: Any) -> None:
        raise RefusedError("an object in a format that no NumPy has written")

    def _spend(self, size: int) -> None:
        self._budget -= size
        if self._budget < 0:
            raise RefusedError("far more than the file can hold")

    def _check_keys(self, keys: Iterable[Any]) -> None:
        self._numbers -= check_keys(keys)
        if self._numbers < 0:
            raise RefusedError(f"more than {MOST_NUMBERS} numbers as keys of dicts and in sets")

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        # Any other object would have its attributes overwritten.
        if not isinstance(made, _WITH_STATE):
            raise RefusedError(f"changes to a {type(made).__name__}")
        made.__setstate__(state)
        if isinstance(made, Array):
            self._spend(made.nbytes)

    dispatch[pickle.BUILD[0]] = load_build

    def load_reduce(self) -> None:
        args = self.stack.pop()
        made = self.stack[-1] = self.stack[-1](*args)
        if isinstance(made, _COPIES):
            self._spend(len(made))
        if isinstance(made, _HASHED):
            self._check_keys(made)

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_setitem(self) -> None:
        value = self.stack.pop()
        self._fill([self.stack.pop(), value])

    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self) -> None:
        self._fill(self.pop_mark())

    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._fill(items)

    dispatch[pickle.DICT[0]] = load_dict

    def _fill(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on the stack."""
        made = self.stack[-1]
        if not isinstance(made, dict):
            raise RefusedError(f"changes to a {type(made).__name__}")
        for i in range(0, len(items), 2):
            key = items[i]
            # Nearly all keys are short texts, and there may be millions.
            if type(key) is not str or len(key) > LONGEST_KEY:
                self._check_keys((key,))
            made[key] = items[i + 1]

    def load_additems(self) -> None:
        items = self.pop_mark()
        if not isinstance(self.stack[-1], set):
            raise RefusedError(f"changes to a {type(self.stack[-1]).__name__}")
        self._check_keys(items)
        self.stack[-1].update(items)

    dispatch[pickle.ADDITEMS[0]] = load_additems

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        self._check_keys(items)
        self.stack.append(frozenset(items))

    dispatch[pickle.FROZENSET[0]] = load_frozenset

    def load_put(self) -> None:
        place = int(self.readline())
        if not 0 <= place < 2**32:
            raise RefusedError("an object in a place of its own")
        self.memo[place] = self.stack[-1]

    dispatch[pickle.PUT[0]] = load_put

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        if size > self._size:
            raise ValueError(f"{size} bytes in a file of {self._size}")
        self.stack.append(bytearray(self.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    for _code in (pickle.INT[0], pickle.LONG[0], pickle.LONG4[0]):
        dispatch[_code] = _short_integer(dispatch[_code])
