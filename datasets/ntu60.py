"""NTU RGB+D (NTU-60): 60 actions of 40 subjects, recorded with three Kinects."""

from __future__ import annotations

from pyg_stgcn.datasets.ntu_3d import NTU3DDataset


class NTU60(NTU3DDataset):
    r"""NTU RGB+D, from `"NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis"
    <https://arxiv.org/abs/1604.02808>`_ (Shahroudy et al., CVPR 2016).

    Reads the raw ``.skeleton`` files, from a folder or from the published zip archives without
    unpacking them, or the annotation pickle of `PYSKL <https://arxiv.org/abs/2205.09443>`_. Raw
    files come out as the persons that the common selection rules find in them, in metres in the
    frame of the camera, in single precision; the pickle holds the same in half precision. The 302
    clips whose skeletons are known to be missing or incomplete are left out, and so are clips of
    NTU-120 that lie beside.

    The benchmark ``xsub`` trains on 20 of the 40 performers and tests on the others; ``xview``
    trains on the cameras 2 and 3 and tests on camera 1. Both are read from the names of the clips,
    also where a pickle has splits of its own.

    Args:
        root: Folder of the dataset. Raw files (``.skeleton`` or archives of them) are looked for in
            the folder ``<root>/raw/ntu60``, the pickle at ``<root>/raw/ntu60_3danno.pkl``. Where
            both are missing, the pickle is downloaded. The raw archive, which is lent after signing
            an `agreement <https://rose1.ntu.edu.sg/dataset/actionRecognition/>`_, never is.
        benchmark: ``"xsub"`` or ``"xview"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: A folder or ``.zip`` of raw files, or the ``.pkl``, if not at the places above.
        raw_bodies: Whether to keep, of raw files, all bodies in all their frames as they were
            recorded, zero in frames without them, with the tracking state of a joint (0: not
            tracked, 1: inferred, 2: tracked) as a fourth channel. For looking at the recordings:
            the transforms take three channels.
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
          - #train / #val (xview)
          - #persons
          - #joints
          - #channels
          - #classes
          - #subjects
        * - 56,578
          - 40,091 / 16,487
          - 37,646 / 18,932
          - 1 or 2
          - 25
          - 3 (metres)
          - 60
          - 40
    """

    name = "ntu60"
    file_name = "ntu60_3danno.pkl"
    num_actions = 60
    num_clips = 56_578
    official_benchmarks = ("xsub", "xview")
    url = "https://download.openmmlab.com/mmaction/pyskl/data/nturgbd/ntu60_3danno.pkl"
