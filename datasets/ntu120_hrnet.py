"""NTU RGB+D 120 (NTU-120) in 2-D: joints found by HRNet in the colour videos."""

from __future__ import annotations

from pyg_stgcn.datasets.ntu import NTUDataset


class NTU120HRNet(NTUDataset):
    r"""The clips of :class:`~pyg_stgcn.datasets.ntu120.NTU120` as joints in the colour videos, in
    pixels with scores, from `"Revisiting Skeleton-based Action Recognition"
    <https://arxiv.org/abs/2104.13586>`_ (Duan et al., CVPR 2022).

    Reads the annotation pickle of `PYSKL <https://arxiv.org/abs/2205.09443>`_. Classes, benchmarks
    and the clips left out are those of the 3-D dataset, by the names of the clips.

    Args:
        root: Folder of the dataset; ``ntu120_hrnet.pkl`` is looked for, and downloaded to,
            ``<root>/raw``. The videos it is made from are lent after signing an
            `agreement <https://rose1.ntu.edu.sg/dataset/actionRecognition/>`_, which covers it too.
        benchmark: ``"xsub"`` or ``"xset"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: Path of ``ntu120_hrnet.pkl``, if it is not in ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val (xsub)
          - #train / #val (xset)
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 113,945
          - 63,026 / 50,919
          - 54,468 / 59,477
          - 17
          - 3 (x, y in pixels, score)
          - 120
          - 106
    """

    name = "ntu120-hrnet"
    file_name = "ntu120_hrnet.pkl"
    num_actions = 120
    num_clips = 113_945
    official_benchmarks = ("xsub", "xset")
    url = "https://download.openmmlab.com/mmaction/pyskl/data/nturgbd/ntu120_hrnet.pkl"
