"""From arrays and a skeleton of your own to a trained, pruned model."""

import pickle
import tempfile
from pathlib import Path

import numpy as np

from pyg_stgcn import Skeleton
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.training.runner import train

JOINTS = ("hip", "chest", "head", "elbow1", "hand1", "elbow2", "hand2", "foot1", "foot2", "tail")
BONES = ((1, 0), (2, 1), (3, 1), (4, 3), (5, 1), (6, 5), (7, 0), (8, 0), (9, 0))
MOVING = {"nod": 2, "wave": 4, "kick": 8}  # the joint of each action


def main(folder: Path, epochs: int = 30) -> float:
    """Make clips, write them as one pickle, train; return the accuracy on the last third."""
    rng = np.random.default_rng(0)
    body, clips = rng.normal(size=(10, 3)), []
    for number in range(150):
        motion = np.tile(body, (1, 30, 1, 1)) + rng.normal(0, 0.05, (1, 30, 10, 3))
        wave = 2 * np.sin(np.arange(30) / 3 + rng.uniform(0, 6))
        motion[0, :, list(MOVING.values())[number % 3], 1] += wave  # [persons, frames, joints, xyz]
        clip = {"frame_dir": f"clip{number}", "label": number % 3, "total_frames": 30}
        clips.append(clip | {"keypoint": motion.astype(np.float32)})
    names = [clip["frame_dir"] for clip in clips]
    splits = {"train": names[:100], "val": names[100:]}
    (folder / "mine.pkl").write_bytes(pickle.dumps({"split": splits, "annotations": clips}))
    Skeleton("mine10", JOINTS, BONES, center=1).to_json(folder / "mine.json")
    files = {"dataset": str(folder / "mine.pkl"), "skeleton": str(folder / "mine.json")}
    size = {"channels": 8, "clip_frames": 24, "batch_size": 8, "epochs": epochs, "graph": "spatial"}
    return train(TrainOptions.of(**files, **size, sparsity=0.8), folder / "run")["top1"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        print(f"accuracy: {main(Path(temporary)):.0%}")
