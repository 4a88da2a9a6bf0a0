"""Classifies a clip of poses with the library that CMake built, with NumPy alone.

python example.py MODEL CLIP.npy [--image-size HEIGHTxWIDTH]
"""

import argparse
import ctypes
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def load_library() -> ctypes.CDLL:
    names = ("libstgcn.so", "libstgcn.dylib", "Release/stgcn.dll", "stgcn.dll")
    found = [HERE / "build" / name for name in names if (HERE / "build" / name).exists()]
    if not found:
        sys.exit(f"build it first: cmake -B {HERE}/build -S {HERE} && cmake --build {HERE}/build")
    library = ctypes.CDLL(str(found[0]))
    library.stgcn_open.restype = ctypes.c_void_p
    library.stgcn_class_name.restype = library.stgcn_error.restype = ctypes.c_char_p
    return library


def main(model: str, clip: str, image_size: str) -> None:
    height, width = map(float, image_size.split("x"))
    library, message = load_library(), ctypes.create_string_buffer(512)
    handle = library.stgcn_open(model.encode(), 1, message, ctypes.c_size_t(512))
    if not handle:
        sys.exit(f"{model}: {message.value.decode()}")
    handle = ctypes.c_void_p(handle)
    joints = np.ascontiguousarray(np.load(clip), np.float32)
    joints = joints[None] if joints.ndim == 3 else joints
    if joints.ndim != 4 or joints.shape[2] != library.stgcn_num_joints(handle):
        sys.exit(f"{clip}: {joints.shape} is not [persons, frames, joints, channels] of the model")
    persons, frames, _, channels = joints.shape
    probabilities = np.zeros(library.stgcn_num_classes(handle), np.float32)
    found = library.stgcn_classify(
        handle,
        ctypes.c_void_p(joints.ctypes.data),
        *(ctypes.c_int64(persons), ctypes.c_int64(frames), channels),
        *(ctypes.c_float(height), ctypes.c_float(width), 1),
        ctypes.c_void_p(probabilities.ctypes.data),
    )
    if found < 0:
        sys.exit(library.stgcn_error(handle).decode())
    for number in np.argsort(-probabilities):
        name = library.stgcn_class_name(handle, int(number)).decode()
        print(f"{probabilities[number]:.6f}  {name}")
    library.stgcn_close(handle)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Classify a clip of poses.")
    parser.add_argument("model", help="file of the program")
    parser.add_argument("clip", help=".npy: [persons, frames, joints, channels]")
    parser.add_argument("--image-size", default="0x0", help="HEIGHTxWIDTH, of 2-D joints")
    main(**vars(parser.parse_args()))
