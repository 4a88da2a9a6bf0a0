from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pyg_stgcn.datasets.readers.ntu_file import parse_recording
from pyg_stgcn.errors import InputError

Make = Callable[..., bytes]

JOINTS = np.arange(75).reshape(25, 3) / 64


def parse_plainly(data: bytes) -> dict[str, tuple[list[int], list[list[list[float]]]]]:
    """Every field of every line, one after the other: frames and all 12 fields by body id."""
    lines = iter(data.decode().split("\n"))
    bodies: dict[str, tuple[list[int], list[list[list[float]]]]] = {}
    for frame in range(int(next(lines))):
        for _ in range(int(next(lines))):
            frames, joints = bodies.setdefault(next(lines).split()[0], ([], []))
            frames.append(frame)
            joints.append(
                [[float(x) for x in next(lines).split()] for _ in range(int(next(lines)))]
            )
    return bodies


def random_recording(make_recording: Make, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return make_recording(
        *(
            {int(body): rng.normal(0, 2, (25, 3)) for body in rng.permutation(4)[: rng.integers(4)]}
            for _ in range(12)
        ),
        {9: rng.normal(0, 1e-6, (25, 3))},
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tracking", [False, True])
def test_the_same_as_parsing_line_by_line(make_recording: Make, seed: int, tracking: bool) -> None:
    data = random_recording(make_recording, seed)
    found = parse_recording(data, "file", tracking)
    expected = parse_plainly(data)
    assert found.num_frames == 13
    assert len(found.bodies) == len(expected) >= 4
    for body, (frames, joints) in zip(found.bodies, expected.values(), strict=True):
        assert body.frames.tolist() == frames
        columns = [0, 1, 2, 11] if tracking else [0, 1, 2]
        assert body.joints.dtype == np.float32
        assert np.array_equal(body.joints, np.array(joints)[..., columns].astype(np.float32))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\r\n \n",
        lambda data: data.replace(b" 191.8 ", b"  191.8\t"),
    ],
)
def test_blanks_and_line_ends_do_not_matter(
    make_recording: Make, change: Callable[[bytes], bytes]
) -> None:
    data = random_recording(make_recording, 0)
    plain, changed = (parse_recording(text, "file", True) for text in (data, change(data)))
    for one, other in zip(plain.bodies, changed.bodies, strict=True):
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.joints, other.joints)


@pytest.mark.parametrize("id_offset", [1, 2, 16])
def test_ids_that_differ_by_little_are_other_bodies(make_recording: Make, id_offset: int) -> None:
    # As floating-point numbers these ids would be equal.
    data = make_recording({0: JOINTS, id_offset: JOINTS})
    assert len(parse_recording(data, "file").bodies) == 2


def edit(line: int, text: str | None) -> Callable[[bytes], bytes]:
    """Replace a line, counted from 1, or take it away."""

    def change(data: bytes) -> bytes:
        lines = data.decode().split("\n")
        lines[line - 1 : line] = [] if text is None else [text]
        return "\n".join(lines).encode()

    return change


JOINT = "0.5 1 3 277.4 191.8 1036.2 519.1 -0.2 0.05 0.96 -0.1 2"


# Lines of the file: 1 frames, 2 bodies, 3 body, 4 joints, 5-29 joints, 30 bodies, 31 body, ...
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda data: b"", r"line 1 ends where the number of frames should follow"),
        (lambda data: b"\n\n", r"line 1 ends where the number of frames should follow"),
        (lambda data: b"\x80\x04" + data, r"line 1 has '.*x80.*x042' where the number of frames"),
        (edit(33, JOINT.replace("0.5", "0.5\0")), r"line 33 field 1 is '0.5.*x00', which is no"),
        (edit(33, JOINT.replace("0.5", "1e39")), r"line 33 field 1 is '1e39', which is no finite"),
        (edit(33, JOINT.replace("0.5 1", "0.5  ")), r"line 33 has 11 fields; a joint has 12"),
        (edit(1, "two"), r"line 1 has 'two' where the number of frames should be"),
        (edit(1, "-2"), r"line 1 has '-2' where"),
        (edit(1, "9" * 5000), r"line 1 has '9+\.\.\.9+' where"),
        (edit(1, "999999999"), r"line 57 ends where the number of bodies should follow"),
        (edit(1, "1"), r"line 30 goes on with '1' after the last frame"),
        (edit(2, "1.0"), r"line 2 has '1\.0' where the number of bodies should be"),
        (edit(2, "2"), r"line 30 has 1 fields; a body has 10"),
        (edit(30, "999999999"), r"line 57 ends in the middle of a body"),
        (edit(3, "72057594037931101 0 1"), r"line 3 has 3 fields; a body has 10"),
        (edit(4, "20"), r"line 4 says that a body has 20 joints; it must have 25"),
        (edit(4, "many"), r"line 4 has 'many' where the number of joints should be"),
        (edit(29, None), r"line 30 has '720.*' where the number of bodies should be"),
        (edit(7, JOINT + " 1"), r"line 7 has 13 fields; a joint has 12"),
        (edit(34, JOINT[:-2]), r"line 34 has 11 fields; a joint has 12"),
        (edit(34, JOINT.replace("3", "x", 1)), r"line 34 field 3 is 'x', which is no"),
        (edit(33, JOINT.replace("0.5", "nan")), r"line 33 field 1 is 'nan'"),
        (edit(33, JOINT.replace("0.5", "1e999")), r"line 33 field 1 is '1e999'"),
        (edit(57, JOINT.replace("0.5", "1_0")), r"line 57 field 1 is '1_0'"),
        (lambda data: b"3\n0\n0\n0\n", r"has no body in any of its 3 frames"),
        (lambda data: b"0\n", r"has no body in any of its 0 frames"),
    ],
)
def test_a_damaged_file(
    make_recording: Make,
    harm: Callable[[bytes], bytes],
    message: str,
) -> None:
    data = harm(make_recording({0: JOINTS}, {0: JOINTS}))
    with pytest.raises(InputError, match=rf"^FILE: ({message})") as caught:
        parse_recording(data, "FILE", tracking=True)
    assert str(caught.value).endswith("extract it again from the archive, or take it away")
    assert len(str(caught.value)) < 250


def test_a_truncated_file(make_recording: Make) -> None:
    data = make_recording({0: JOINTS}, {}, {0: JOINTS, 1: JOINTS}).rstrip()
    for length in range(0, len(data), 7):
        with pytest.raises(InputError, match=r"^FILE: line \d+ "):
            parse_recording(data[:length], "FILE")
