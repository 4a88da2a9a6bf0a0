from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.skeletons import Skeleton, get_skeleton, list_skeletons

BUILT_IN = [
    "blazepose33",
    "coco17",
    "halpe26",
    "hand21",
    "kinect20",
    "kinect20-sdk",
    "ntu25",
    "openpose18",
    "openpose25",
    "sbu15",
]

# Non-zeros, sum, and sum weighted by 1 + v V + w, of each partition, computed by PYSKL.
CHECKS = {
    ("ntu25", "stgcn_spatial"): (
        [25, 40, 8],
        [9.116667, 13.133333, 2.75],
        [3051.1167, 3772.4667, 811.8333],
    ),
    ("ntu25", "spatial"): ([25, 24, 24], [25, 24, 18], [7825, 6579, 5434.75]),
    ("ntu25", "binary_adj"): ([48], [48], [13854]),
    ("coco17", "stgcn_spatial"): (
        [17, 22, 10],
        [6.366667, 7.133333, 3.5],
        [976.8667, 1241.7333, 173.5833],
    ),
    ("coco17", "spatial"): ([17, 16, 16], [17, 16, 11], [2465, 1682, 1900.5]),
    ("coco17", "binary_adj"): ([32], [32], [4100]),
    ("openpose18", "stgcn_spatial"): (
        [18, 25, 9],
        [6.666667, 8.583333, 2.75],
        [1175.1667, 1540.3333, 121],
    ),
    ("openpose18", "spatial"): ([18, 17, 17], [18, 17, 12], [2925, 1879, 2237]),
    ("openpose18", "binary_adj"): ([34], [34], [4727]),
    ("hand21", "stgcn_spatial"): (
        [21, 30, 10],
        [7.666667, 10, 3.333333],
        [1767.6667, 2348.3333, 350],
    ),
    ("hand21", "spatial"): ([21, 20, 20], [21, 20, 16], [4641, 3380, 3820]),
    ("hand21", "binary_adj"): ([40], [40], [7960]),
}


def describe(**changes: object) -> dict[str, object]:
    """A small valid skeleton, changed."""
    description: dict[str, object] = {
        "name": "arm",
        "joints": ["neck", "left_hand", "right_hand", "hip"],
        "bones": [["left_hand", "neck"], ["right_hand", "neck"], ["hip", "neck"]],
        "center": "neck",
    }
    description.update(changes)
    return {key: value for key, value in description.items() if value is not ...}


def test_list_skeletons() -> None:
    assert list_skeletons() == BUILT_IN


@pytest.mark.parametrize(("name", "partition"), CHECKS)
def test_partition_equals_published_check_values(name: str, partition: str) -> None:
    counts, sums, weighted = CHECKS[name, partition]
    adjacency = get_skeleton(name).graph(partition).dense().double()
    joints = adjacency.size(1)
    places = torch.arange(1, joints * joints + 1).view(joints, joints)
    assert [int(a.count_nonzero()) for a in adjacency] == counts
    assert adjacency.sum((1, 2)).tolist() == pytest.approx(sums, abs=2e-6)
    assert (adjacency * places).sum((1, 2)).tolist() == pytest.approx(weighted, abs=2e-4)


def test_messages_away_from_the_centre_of_ntu25() -> None:
    graph = get_skeleton("ntu25").graph("stgcn_spatial")
    away = graph.edge_index[:, graph.edge_type == 2].t().tolist()
    assert sorted(map(tuple, away)) == [
        (1, 0),
        (2, 3),
        (4, 5),
        (8, 9),
        (20, 1),
        (20, 2),
        (20, 4),
        (20, 8),
    ]


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("partition", ["stgcn_spatial", "uniform", "distance-1", "distance-3"])
def test_messages_arriving_at_a_joint_sum_to_one(name: str, partition: str) -> None:
    adjacency = get_skeleton(name).graph(partition).dense()
    torch.testing.assert_close(adjacency.sum((0, 1)), torch.ones(adjacency.size(1)))


def test_distance_partition_of_a_chain() -> None:
    chain = Skeleton("chain", ("a", "b", "c", "d"), ((1, 0), (2, 1), (3, 2)), center=0)
    graph = chain.graph("distance-2")
    assert graph.num_partitions == 3
    third, quarter = 1 / 3, 1 / 4
    expected = torch.tensor(
        [
            [[third, 0, 0, 0], [0, quarter, 0, 0], [0, 0, quarter, 0], [0, 0, 0, third]],
            [
                [0, quarter, 0, 0],
                [third, 0, quarter, 0],
                [0, quarter, 0, third],
                [0, 0, quarter, 0],
            ],
            [[0, 0, quarter, 0], [0, 0, 0, third], [third, 0, 0, 0], [0, quarter, 0, 0]],
        ]
    )
    torch.testing.assert_close(graph.dense(), expected)
    torch.testing.assert_close(
        chain.graph("uniform").dense(), chain.graph("distance-1").dense().sum(0, keepdim=True)
    )
    with pytest.raises(InputError, match="no joints are more than 3 bones apart"):
        chain.graph("distance-4")


def test_spatial_partition_by_hand() -> None:
    skeleton = Skeleton.from_dict(describe())
    identity, to_children, to_parents = skeleton.graph("spatial").dense()
    assert torch.equal(identity, torch.eye(4))
    assert to_children.tolist() == [[0, 1, 1, 1], [0] * 4, [0] * 4, [0] * 4]
    torch.testing.assert_close(to_parents[:, 0], torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]))
    assert not to_parents[:, 1:].any()


def test_random_partition_is_dense_and_reproducible() -> None:
    skeleton = get_skeleton("ntu25")

    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return skeleton.graph("random", num_partitions=8, generator=generator).dense()

    weight = draw(0)
    assert weight.shape == (8, 25, 25)
    assert weight.mean().item() == pytest.approx(0.04, abs=0.001)
    assert weight.std().item() == pytest.approx(0.02, abs=0.001)
    assert torch.equal(weight, draw(0))
    assert not torch.equal(weight, draw(1))
    assert skeleton.graph("random").edge_index.shape == (2, 3 * 25 * 25)
    with pytest.raises(InputError, match="num_partitions: 0"):
        skeleton.graph("random", num_partitions=0)


def test_a_complete_graph_has_all_edges_and_the_same_sums() -> None:
    graph = get_skeleton("coco17").graph("spatial")
    complete = graph.complete()
    assert complete.edge_index.shape == (2, 3 * 17 * 17)
    assert (complete.edge_weight != 0).all()
    torch.testing.assert_close(complete.dense(), graph.dense(), rtol=0, atol=1e-28)
    is_edge = graph.dense() != 0
    assert torch.equal(complete.dense()[is_edge], graph.dense()[is_edge])
    assert complete.dense()[~is_edge].unique().numel() == 1


def test_unknown_partition() -> None:
    with pytest.raises(InputError, match=r"'spacial'.*did you mean 'spatial'.*binary_adj"):
        get_skeleton("ntu25").graph("spacial")
    with pytest.raises(InputError, match="distance-0"):
        get_skeleton("ntu25").graph("distance-0")


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_skeletons_are_trees_with_mirrored_pairs(name: str) -> None:
    skeleton = get_skeleton(name)
    assert skeleton.name == name
    assert skeleton.num_joints == len(skeleton.bones) + 1
    left = {joint for joint in skeleton.joints if joint.startswith("left_")}
    assert {skeleton.joints[a] for a, _ in skeleton.pairs} == left
    for a, b in skeleton.pairs:
        assert skeleton.joints[a].replace("left", "right") == skeleton.joints[b]
    edges = skeleton.edge_index()
    assert edges.shape == (2, 2 * len(skeleton.bones))
    adjacency = torch.zeros(skeleton.num_joints, skeleton.num_joints)
    adjacency[edges[0], edges[1]] = 1
    assert torch.equal(adjacency, skeleton.graph("binary_adj").dense()[0])


def test_normalisation_joints_of_ntu25() -> None:
    ntu = get_skeleton("ntu25")
    assert (ntu.center, ntu.root_joint, ntu.spine, ntu.shoulders) == (20, 1, (0, 1), (8, 4))
    assert set(ntu.stream_bones) - set(ntu.bones) == {(21, 22), (23, 24), (20, 20)}
    assert get_skeleton("coco17").root_joint == get_skeleton("coco17").center == 0


@pytest.mark.parametrize(
    ("name", "file"),
    [("kinect20", "utd_mhad/utd_mhad_reference.pkl"), ("sbu15", "sbu/sbu.pkl")],
)
def test_built_in_skeleton_equals_that_of_the_data(shared_data: Path, name: str, file: str) -> None:
    meta = pickle.loads((shared_data / "data" / file).read_bytes())["meta"]
    skeleton = get_skeleton(name)
    assert list(skeleton.joints) == meta["joints"]
    assert list(skeleton.bones) == [tuple(edge) for edge in meta["edges"]]
    assert skeleton.center == meta["center"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_json_round_trip(name: str, tmp_path: Path) -> None:
    skeleton = get_skeleton(name)
    skeleton.to_json(tmp_path / "skeleton.json")
    assert get_skeleton(tmp_path / "skeleton.json") == skeleton
    assert [path.name for path in tmp_path.iterdir()] == ["skeleton.json"]


def test_joints_by_number_equal_joints_by_name() -> None:
    by_name = Skeleton.from_dict(describe(pairs=[["left_hand", "right_hand"]], root="hip"))
    by_number = Skeleton.from_dict(
        describe(bones=[[1, 0], [2, 0], [3, 0]], center=0, pairs=[[1, 2]], root=3)
    )
    assert by_name == by_number
    assert hash(by_name) == hash(by_number)


def test_bone_stream_of_a_graph_with_loops_takes_the_first_parent() -> None:
    bones = [["left_hand", "neck"], ["hip", "neck"], ["right_hand", "hip"], ["right_hand", "neck"]]
    skeleton = Skeleton.from_dict(describe(bones=bones))
    assert skeleton.stream_bones == ((1, 0), (3, 0), (2, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name: 3 is not a name"),
        ({"name": ...}, "name: this field is missing"),
        ({"center": ...}, "center: this field is missing"),
        ({"centre": "neck"}, "unknown field 'centre'.*did you mean 'center'"),
        ({"joints": "neck"}, "joints: 'neck' is not a list"),
        ({"joints": [], "bones": [], "center": 0}, "joints: the list is empty"),
        ({"joints": ["neck", "hip", "neck"], "bones": []}, r"joints\[2\]: 'neck' is also.*joint 0"),
        ({"joints": ["neck", ["hip"]], "bones": []}, r"joints\[1\]: \['hip'\] is not a name"),
        ({"bones": 3}, "bones: 3 is not a list"),
        ({"bones": [["hip", "neck", "left_hand"]]}, r"bones\[0\]: .* is not a pair"),
        ({"bones": [[1, 0], [2, 0], [3, 7]]}, r"bones\[2\]: joint 7 does not exist; the 4 joints"),
        ({"bones": [[1, 0], [-1, 0]]}, r"bones\[1\]: joint -1 does not exist"),
        ({"bones": [["hip", "nek"]]}, r"bones\[0\]: .*'nek' \(did you mean 'neck'\?\)"),
        ({"bones": [[1, 0], [1.0, 0]]}, r"bones\[1\]: 1.0 is neither"),
        ({"bones": [[1, 0], [2, 2]]}, r"bones\[1\]: joint 'right_hand' is joined to itself"),
        ({"bones": [[1, 0], [0, 1]]}, r"bones\[1\]: .*already joined by bones\[0\]"),
        ({"bones": [[1, 0]]}, "from the centre 'neck' to 'right_hand', 'hip'"),
        ({"center": 4}, "center: joint 4 does not exist"),
        ({"center": "tail"}, "center: there is no joint named 'tail'"),
        ({"center": None}, "center: None is neither"),
        ({"center": True}, "center: True is neither"),
        ({"root": "tail"}, "root: there is no joint named 'tail'"),
        ({"pairs": [[1, 2], [2, 3]]}, r"pairs\[1\]: joint 'right_hand' is already in pairs\[0\]"),
        ({"pairs": [[1, 1]]}, r"pairs\[0\]: joint 'left_hand' is already in pairs\[0\]"),
        ({"bone_pairs": [[1, 0], [1, 2]]}, r"bone_pairs\[1\]: 'left_hand' already has a parent"),
        ({"spine": ["hip", "hip"]}, "spine: an axis needs two different joints"),
        ({"spine": ["hip"]}, "spine: .* is not a pair"),
        ({"shoulders": [1, 9]}, r"shoulders\[0\]: joint 9 does not exist"),
        ({"name": 101 * "x"}, "name: .* has 101 characters; give at most 100"),
        ({"joints": ["neck", "a\0", "b", "c"], "bones": []}, r"joints\[1\]: .* control characters"),
        ({"joints": ["neck", "a\ud800", "b", "c"], "bones": []}, r"joints\[1\]: .* control"),
        ({"bones": 8193 * [[1, 0]]}, "bones: 8,193 are too many; a skeleton has at most 8,192"),
        ({"pairs": 8193 * [[1, 2]]}, "pairs: 8,193 are too many"),
        ({"bone_pairs": 8193 * [[1, 2]]}, "bone_pairs: 8,193 are too many"),
        ({"center": 10**5 * "x"}, r"center: there is no joint named 'xx.{,60}xx'; see joints"),
        ({"bones": [[[[[[[[]]]]]], 0]]}, r"bones\[0\]: \[\[\[\[\.\.\.\]\]\]\] is neither"),
    ],
)
def test_mistakes_are_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Skeleton.from_dict(describe(**changes))
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(describe(**changes)))
    with pytest.raises(InputError, match=rf"arm\.json: .*{message}"):
        get_skeleton(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"name": "arm",\n "joints": [}', "not valid JSON .line 2, column 13"),
        (b"[1, 2]", "described by an object"),
        (b"\xff\xfe\x00", "not a text file"),
        (10**5 * b"[" + 10**5 * b"]", "its lists are nested too deeply"),
        (b'{"center": ' + 5000 * b"1" + b"}", "a number of thousands of digits"),
        ((5 * 2**20) * b" ", "larger than 4 MiB"),
    ],
)
def test_broken_json(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "arm.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"arm\.json: .*{message}"):
        Skeleton.from_json(path)


def test_skeleton_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'ntu2'.*did you mean 'ntu25'.*coco17, halpe26, hand21"):
        get_skeleton("ntu2")
    with pytest.raises(InputError, match=r"missing\.json: cannot be read \(No such file"):
        get_skeleton(tmp_path / "missing.json")
    with pytest.raises(InputError, match="cannot be read"):
        get_skeleton(tmp_path)
