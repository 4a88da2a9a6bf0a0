"""Windows that a long recording is cut into."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyg_stgcn.errors import InputError
from pyg_stgcn.ranges import FRAMES

_EXAMPLES = "write length/stride, such as 2s/0.5s in seconds or 60/15 in frames"


@dataclass(frozen=True)
class Span:
    """A length of time.

    Args:
        amount: A number of frames, or of seconds.
        in_seconds: Whether it is in seconds.
    """

    amount: float
    in_seconds: bool

    @classmethod
    def parse(cls, text: str) -> Span:
        """Read ``"60"``, frames, or ``"2s"``, seconds.

        Raises:
            InputError: It is neither, or out of range.
        """
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*(s?)\s*", text)
        if found is None:
            raise InputError(f"{text!r} is no length of time; {_EXAMPLES}")
        amount, in_seconds = float(found[1]), bool(found[2])
        if not in_seconds and not amount.is_integer():
            raise InputError(f"{text!r} is no whole number of frames; {_EXAMPLES}")
        if not 0 < amount <= FRAMES.high:
            unit = "seconds" if in_seconds else "frames"
            raise InputError(f"{text!r} is not between 0 and {FRAMES.high:,} {unit}; {_EXAMPLES}")
        return cls(amount, in_seconds)

    def frames(self, fps: float | None, step: int, where: object) -> int:
        """The number of frames, at least one.

        Args:
            fps: Frames per second of the recording.
            step: Difference between the numbers of consecutive frames.
            where: Name of the recording, for messages.

        Raises:
            InputError: It is in seconds, and the frame rate is not known.
        """
        if not self.in_seconds:
            return int(self.amount)
        if fps is None:
            raise InputError(
                f"{where}: does not say its frames per second, which windows in seconds need; give "
                "them, such as fps=25, or give the windows in frames, such as 60/15"
            )
        return max(1, round(self.amount * fps / step))


@dataclass(frozen=True)
class Windows:
    """Windows of a recording, one every :attr:`stride`.

    Args:
        length: Length of a window.
        stride: Time from the start of a window to that of the next.
    """

    length: Span
    stride: Span

    @classmethod
    def parse(cls, text: str) -> Windows:
        """Read ``"2s/0.5s"`` or ``"60/15"``; the stride of ``"2s"`` is its length.

        Raises:
            InputError: The text is no length and stride.
        """
        length, slash, stride = text.partition("/")
        if slash and not stride:
            raise InputError(f"{text!r} has no stride; {_EXAMPLES}")
        return cls(Span.parse(length), Span.parse(stride or length))

    def frames(self, fps: float | None, step: int, where: object) -> tuple[int, int]:
        """Length and stride in frames of a recording; arguments as of :meth:`Span.frames`.

        Raises:
            InputError: A window is in seconds and the recording has no frame rate, or the stride is
                longer than the length.
        """
        length, stride = (span.frames(fps, step, where) for span in (self.length, self.stride))
        if stride > length:
            raise InputError(
                f"windows of {length} frames, one every {stride}, leave out {stride - length} of "
                f"every {stride} frames; give a stride of at most the length"
            )
        return length, stride
