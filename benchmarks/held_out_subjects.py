"""Writes the training subjects of UTD-MHAD as a pickle that leaves one of them out at a time.

Recipes are to be compared on these benchmarks, subject1 to subject7, so that the subjects of the
test split decide nothing:

    python benchmarks/held_out_subjects.py --source Skeleton.zip held-out.pkl
    pyg-stgcn train --dataset held-out.pkl --skeleton kinect20 --benchmark subject1 ...
"""

from __future__ import annotations

import argparse
import pickle
import re
from pathlib import Path

from pyg_stgcn.datasets import UTDMHAD


def held_out(dataset: UTDMHAD) -> dict[str, object]:
    """The clips of a dataset in PYSKL's format, split once for every subject."""
    subjects = [re.split("[_s]+", name)[1] for name in dataset.names]
    clips = [
        {
            "frame_dir": name,
            "label": int(label),
            "total_frames": data.x.size(1),
            "keypoint": data.x.transpose(0, 1).unsqueeze(0).numpy(),
        }
        for name, label, data in zip(dataset.names, dataset.labels, dataset, strict=True)
    ]
    split = {}
    for subject in sorted(set(subjects)):
        inside = [name for name, s in zip(dataset.names, subjects, strict=True) if s == subject]
        split[f"subject{int(subject)}_val"] = inside
        split[f"subject{int(subject)}_train"] = [n for n in dataset.names if n not in inside]
    return {"split": split, "annotations": clips}


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", default="data")
    parser.add_argument("--source", help="local copy of Skeleton.zip")
    arguments = parser.parse_args()
    dataset = UTDMHAD(arguments.root, benchmark="xsub", split="train", source=arguments.source)
    arguments.out.write_bytes(pickle.dumps(held_out(dataset)))


if __name__ == "__main__":
    main()
