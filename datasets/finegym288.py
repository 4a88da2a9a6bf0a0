"""FineGym's Gym288: 288 elements of gymnastics, joints in 2-D."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_stgcn.datasets.annotations import AnnotationDataset


class FineGYM288(AnnotationDataset):
    r"""Gym288, from `"FineGym: A Hierarchical Video Dataset for Fine-grained Action Understanding"
    <https://arxiv.org/abs/2004.06704>`_ (Shao et al., CVPR 2020),
    as joints of the athlete in pixels with scores.

    Reads a pickle of "Gym288-skeleton" in the format of `PYSKL <https://arxiv.org/abs/2205.09443>`_:
    version 1 has the splits train and test, version 2 train and validation; fields that are not
    needed are passed over. It is not downloaded. Many classes have few clips, so that the mean
    class accuracy counts beside the top-1. The classes are called by their numbers.

    Args:
        root: Folder of the dataset; ``gym288_skeleton.pkl`` is looked for in ``<root>/raw``.
        benchmark: ``"default"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: Path of the pickle, whatever it is called.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - Version
          - #clips
          - #train / #val
          - #persons
          - #joints
          - #channels
          - #classes
        * - 1
          - 38,223
          - 28,739 / 9,484
          - 1
          - 17
          - 3 (x, y in pixels, score)
          - 288
        * - 2
          - 38,935
          - 29,290 / 9,645
          - 1
          - 17
          - 3 (x, y in pixels, score)
          - 288
    """

    name = "finegym288"
    file_name = "gym288_skeleton.pkl"
    page = "https://sdolivia.github.io/FineGym/"

    def class_names(self) -> Sequence[str]:
        return [str(number) for number in range(288)]
