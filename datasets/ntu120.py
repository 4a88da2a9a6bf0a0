"""NTU RGB+D 120 (NTU-120): 120 actions of 106 subjects, recorded with three Kinects."""

from __future__ import annotations

from pyg_stgcn.datasets.ntu_3d import NTU3DDataset


class NTU120(NTU3DDataset):
    r"""NTU RGB+D 120, from `"NTU RGB+D 120: A Large-Scale Benchmark for 3D Human Activity
    Understanding" <https://arxiv.org/abs/1905.04757>`_ (Liu et al., TPAMI 2020).

    Contains the clips of NTU-60, with the same labels, and is read like
    :class:`~pyg_stgcn.datasets.ntu60.NTU60`. Its raw files come in two archives: name the folder
    that holds both. The 535 clips whose skeletons are known to be missing or incomplete are left
    out.

    The benchmark ``xsub`` trains on 53 of the 106 performers and tests on the others; ``xset``
    trains on the set-ups with even numbers and tests on those with odd numbers.

    Args:
        root: Folder of the dataset. Raw files (``.skeleton`` or archives of them) are looked for in
            the folder ``<root>/raw/ntu120``, the pickle at ``<root>/raw/ntu120_3danno.pkl``. Where
            both are missing, the pickle is downloaded. The raw archives, which are lent after
            signing an `agreement <https://rose1.ntu.edu.sg/dataset/actionRecognition/>`_, never
            are.
        benchmark: ``"xsub"`` or ``"xset"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: A folder or ``.zip`` of raw files, or the ``.pkl``, if not at the places above.
        raw_bodies: As of :class:`~pyg_stgcn.datasets.ntu60.NTU60`.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #clips
          - #train / #val (xsub)
          - #train / #val (xset)
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 113,945
          - 63,026 / 50,919
          - 54,468 / 59,477
          - 1 or 2
          - 25
          - 3 (metres)
          - 120
          - 106
    """

    name = "ntu120"
    file_name = "ntu120_3danno.pkl"
    num_actions = 120
    num_clips = 113_945
    official_benchmarks = ("xsub", "xset")
    url = "https://download.openmmlab.com/mmaction/pyskl/data/nturgbd/ntu120_3danno.pkl"
