"""Recognise a clip with ONNX Runtime and NumPy alone.

python onnx_without_torch.py mine.onnx clip.npy    # [persons, frames, joints, channels]
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def recognize(model: Path, clip: np.ndarray, num_views: int = 10) -> tuple[str, float]:
    """The name of the action, or "nobody", and its probability."""
    sys.path.insert(0, str(model.parent))
    from pyg_stgcn_prepare import prepare  # written beside the model by 'pyg-stgcn export'

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["pyg_stgcn"])
    x, batch = prepare(clip, about, num_views=num_views)
    if not len(x):
        return "nobody", 0.0
    (logits,) = session.run(["logits"], {"x": x, "batch": batch})  # one clip for each view
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    return about["classes"][probabilities.argmax()], float(probabilities.max())


if __name__ == "__main__":
    print(*recognize(Path(sys.argv[1]), np.load(sys.argv[2])))
