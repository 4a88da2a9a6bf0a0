"""Large JSON files, read value by value in little memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pyg_stgcn.errors import InputError

#: Bytes that are read at once.
CHUNK = 1 << 18
#: Most characters of a value that is read as a whole, such as the persons of one frame.
MAX_VALUE = 1 << 24
_SPACE = re.compile(r"[ \t\r\n]*")
_DELIMITER = re.compile(r"[ \t\r\n,:\]}]")
_DECODER = json.JSONDecoder()


class JsonStream:
    """A JSON file from its start to its end, in memory for one value and one block of the file.

    Arrays and objects are either read as a whole by :meth:`value`, or entered by :meth:`items` and
    :meth:`members`, which stop at each value in them; it must be read before the next step.

    Args:
        path: The file, for errors.
        file: The file, opened in binary mode.

    Example:
        >>> with path.open("rb") as file:  # doctest: +SKIP
        ...     stream = JsonStream(path, file)
        ...     numbers = [stream.value() for _ in stream.items()]
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0
        #: Bytes before the current position.
        self.offset = 0
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            self.offset = len(codecs.BOM_UTF8)
        else:
            file.seek(0)

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._advance(found.end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read():
                return ""

    def value(self) -> Any:
        """Read the value at the current position as a whole.

        Raises:
            InputError: It is damaged, nested too deeply or too large.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._read_more():
                    is_large = len(self._text) - self._at > MAX_VALUE
                    self._fail("a value is too large" if is_large else error.msg)
                continue
            except (ValueError, RecursionError) as error:
                self._fail(str(error))
            # Otherwise, a number may go on in the next block.
            if _DELIMITER.match(self._text, end) or not self._read_more():
                self._advance(end)
                return value

    def items(self) -> Iterator[None]:
        """Stop at each value of an array."""
        yield from self._values("[", "]")

    def members(self) -> Iterator[str]:
        """Stop at each value of an object, and name its key."""
        for _ in self._values("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                self._fail("a key is not in quotation marks")
            self._take(":")
            self.peek()
            yield key

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
            InputError: Something follows.
        """
        if self.peek():
            self._fail("the file goes on after its end")

    def _values(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self._take(",")
                self.peek()
                yield
        self._take(closing)

    def _take(self, char: str) -> None:
        if (found := self.peek()) != char:
            self._fail(f"{char!r} is expected" if found else "the file ends too early")
        self._advance(self._at + 1)

    def _advance(self, end: int) -> None:
        self.offset += len(self._text[self._at : end].encode())
        self._at = end

    def _read_more(self) -> bool:
        """Read on within a value; false at the end of the file, or if the value is too large."""
        return len(self._text) - self._at <= MAX_VALUE and self._read()

    def _read(self) -> bool:
        """Read on; false at the end of the file."""
        rest = self._text[self._at :]
        block = self._file.read(max(CHUNK, len(rest)))
        try:
            self._text = rest + self._decode(block, final=not block)
        except UnicodeDecodeError as error:
            self._fail(f"not UTF-8: {error.reason}")
        self._at = 0
        return bool(block)

    def error(self, reason: str) -> InputError:
        """An error that names the file and the current position."""
        return InputError(
            f"{self._path}: damaged near byte {self.offset:,} ({reason}); write the file again"
        )

    def _fail(self, reason: str) -> NoReturn:
        raise self.error(reason) from None


def read_json_file(path: Path) -> Any:
    """Read a file of one frame as a whole.

    Raises:
        InputError: It is damaged, nested too deeply or too large.
    """
    with path.open("rb") as file:
        data = file.read(MAX_VALUE + 1)
    if len(data) > MAX_VALUE:
        raise InputError(
            f"{path}: has more than {MAX_VALUE // 2**20} MiB, too much for one frame; divide it "
            "into frames"
        )
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); write it again, or remove it") from None


def read_values(path: Path, offsets: Iterator[tuple[int, int]]) -> Iterator[Any]:
    """Read values whose places are known.

    Args:
        path: The file.
        offsets: First byte and number of bytes of each value.

    Raises:
        InputError: The file has changed since its values were found.
    """
    with path.open("rb", buffering=CHUNK) as file:
        for offset, size in offsets:
            file.seek(offset)
            try:
                value = json.loads(file.read(size))
            except ValueError:
                raise InputError(
                    f"{path}: has changed while it was read; start again when it is complete"
                ) from None
            yield value
