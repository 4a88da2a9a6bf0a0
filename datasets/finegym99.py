"""FineGym's Gym99: 99 elements of gymnastics, joints found by HRNet in 2-D."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_stgcn.datasets.annotations import AnnotationDataset
from pyg_stgcn.datasets.readers.metadata import read_metadata


class FineGYM99(AnnotationDataset):
    r"""Gym99, from `"FineGym: A Hierarchical Video Dataset for Fine-grained Action Understanding"
    <https://arxiv.org/abs/2004.06704>`_ (Shao et al., CVPR 2020),
    as joints of the athlete in pixels with scores.

    Reads the pickle of `PYSKL <https://arxiv.org/abs/2205.09443>`_, which is downloaded where it is
    missing, or another one in the same format: splits may be called train and val, validation or
    test, and fields that are not needed are passed over. Classes differ in size, so that the mean
    class accuracy counts beside the top-1.

    Args:
        root: Folder of the dataset; ``gym_hrnet.pkl`` is looked for, and downloaded to,
            ``<root>/raw``.
        benchmark: ``"default"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: Path of the pickle, if it is not in ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS** of version 2 of the skeletons:

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val
          - #persons
          - #joints
          - #channels
          - #classes
        * - 34,803
          - 26,282 / 8,521
          - 1
          - 17
          - 3 (x, y in pixels, score)
          - 99
    """

    name = "finegym99"
    file_name = "gym_hrnet.pkl"
    url = "https://download.openmmlab.com/mmaction/pyskl/data/gym/gym_hrnet.pkl"
    page = "https://sdolivia.github.io/FineGym/"

    def class_names(self) -> Sequence[str]:
        return read_metadata("gym99_classes.txt")
