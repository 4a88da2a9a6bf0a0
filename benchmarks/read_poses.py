"""Time and memory for reading pose files: copies of a genuine frame.

    python benchmarks/read_poses.py --file FILE.json [--frames 10000] [--full]

A file of OpenPose is copied to a folder, one file a frame. Of AlphaPose results, the first person
is copied into one large file. With ``--full`` the lists of hands and face of OpenPose are filled.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from pyg_stgcn.poses import open_poses

PARTS = {"face": 70, "hand_left": 21, "hand_right": 21}


def write_frames(folder: Path, content: dict[str, Any], frames: int, full: bool) -> Path:
    """A folder of OpenPose's files."""
    for person in content["people"] if full else ():
        for part, joints in PARTS.items():
            person[f"{part}_keypoints_2d"] = [302.017, 99.7157, 0.911454] * joints
    text = json.dumps(content, separators=(",", ":"))
    for number in range(frames):
        (folder / f"copy_{number:012d}_keypoints.json").write_text(text)
    return folder


def write_results(folder: Path, person: dict[str, Any], frames: int) -> Path:
    """A file of AlphaPose results."""
    path = folder / "results.json"
    with path.open("w") as file:
        for number in range(frames):
            file.write("[" if number == 0 else ", ")
            json.dump({**person, "image_id": f"{number}.jpg"}, file)
        file.write("]")
    return path


def peak() -> float:
    """The largest memory so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, required=True, help="of OpenPose or AlphaPose")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--full", action="store_true", help="with hands and face")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        content = json.loads(options.file.read_text())
        if isinstance(content, list):
            path = write_results(Path(name), content[0], options.frames)
        else:
            path = write_frames(Path(name), content, options.frames, options.full)
        del content
        before, start = peak(), time.perf_counter()
        (recording,) = open_poses(path)
        opened = time.perf_counter() - start
        persons = sum(len(frame.joints) for frame in recording.frames())
        seconds = time.perf_counter() - start
        size = sum(each.stat().st_size for each in Path(name).iterdir())
    print(
        f"{options.frames:,} frames, {size / 2**20:.0f} MiB, {persons:,} persons: {seconds:.2f} s "
        f"({opened:.2f} s to open), {peak() - before:.1f} MiB more memory"
    )


if __name__ == "__main__":
    main()
