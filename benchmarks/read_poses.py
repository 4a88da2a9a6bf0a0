"""Time and memory for reading OpenPose output: copies of one file, a file a frame.

    python benchmarks/read_poses.py --file OPENPOSE.json [--frames 10000] [--full]

With ``--full`` the lists of hands and face are filled, as OpenPose does with ``--hand --face``.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from pyg_stgcn.poses import open_poses


def write_copies(folder: Path, source: Path, frames: int, full: bool) -> int:
    """Write the files of a recording.

    Returns:
        Their size in bytes.
    """
    content = json.loads(source.read_text())
    if full:
        for person in content["people"]:
            for part, joints in (("face", 70), ("hand_left", 21), ("hand_right", 21)):
                values = [v for i in range(joints) for v in (302.017 + i, 99.7157, 0.911454)]
                person[f"{part}_keypoints_2d"] = values
    text = json.dumps(content, separators=(",", ":"))
    for number in range(frames):
        (folder / f"copy_{number:012d}_keypoints.json").write_text(text)
    return frames * len(text)


def peak() -> float:
    """The largest memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, required=True, help="a JSON file of OpenPose")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--full", action="store_true", help="with hands and face")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        size = write_copies(Path(name), options.file, options.frames, options.full)
        before, start = peak(), time.perf_counter()
        (recording,) = open_poses(name)
        persons = sum(len(frame.joints) for frame in recording.frames())
        seconds = time.perf_counter() - start
        print(
            f"{options.frames:,} files, {size / 2**20:.0f} MiB, {persons:,} persons: "
            f"{seconds:.2f} s, {peak() - before:.1f} MiB more memory"
        )


if __name__ == "__main__":
    main()
