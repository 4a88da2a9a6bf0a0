"""Rest poses: positions of the joints of a skeleton where there is no clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.skeletons.skeleton import Skeleton

# Someone 1 tall who faces us: x to their left, y up. Joints of a side are listed for the left one.
_MIDDLE = {
    "head": (0.0, 0.98),
    "nose": (0.0, 0.92),
    "neck": (0.0, 0.86),
    "spine_shoulder": (0.0, 0.80),
    "shoulder_center": (0.0, 0.80),
    "torso": (0.0, 0.65),
    "spine": (0.0, 0.65),
    "spine_mid": (0.0, 0.65),
    "spine_base": (0.0, 0.50),
    "hip_center": (0.0, 0.50),
    "mid_hip": (0.0, 0.50),
}
_LEFT = {
    "eye_inner": (0.02, 0.96),
    "eye": (0.04, 0.97),
    "eye_outer": (0.06, 0.96),
    "ear": (0.09, 0.94),
    "mouth": (0.03, 0.89),
    "shoulder": (0.14, 0.78),
    "elbow": (0.25, 0.64),
    "wrist": (0.34, 0.51),
    "hand": (0.37, 0.45),
    "hand_tip": (0.42, 0.39),
    "thumb": (0.31, 0.41),
    "index": (0.35, 0.42),
    "pinky": (0.39, 0.45),
    "hip": (0.09, 0.48),
    "knee": (0.12, 0.27),
    "ankle": (0.14, 0.06),
    "heel": (0.12, 0.02),
    "foot": (0.20, 0.01),
    "foot_index": (0.20, 0.01),
    "big_toe": (0.19, 0.01),
    "small_toe": (0.23, 0.02),
}
_BODY = (
    _MIDDLE
    | {f"left_{name}": place for name, place in _LEFT.items()}
    | {f"right_{name}": (-x, y) for name, (x, y) in _LEFT.items()}
)


def rest_pose(skeleton: Skeleton) -> NDArray[np.float64]:
    """A place in the plane for every joint, the same at every call.

    Skeletons whose joints all have the common names of a body's stand upright and face the viewer,
    their left on the right of the figure. All others are laid out as graphs: the distances in the
    plane are about the numbers of bones in between (`Kamada and Kawai, 1989
    <https://doi.org/10.1016/0020-0190(89)90102-6>`_).

    Args:
        skeleton: Any skeleton.

    Shapes:
        - **output:** :math:`(V, 2)`, x to the right and y up, of about unit size
    """
    if all(joint in _BODY for joint in skeleton.joints):
        return np.array([_BODY[joint] for joint in skeleton.joints])
    # It takes a quarter of a second to import, for figures only.
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(skeleton.num_joints))
    graph.add_edges_from(skeleton.bones)
    places = nx.kamada_kawai_layout(graph, scale=0.5)
    return np.array([places[joint] for joint in range(skeleton.num_joints)])
