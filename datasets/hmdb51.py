"""HMDB51: 51 actions from films and the web, joints found by HRNet in 2-D."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_stgcn.datasets.annotations import AnnotationDataset
from pyg_stgcn.datasets.readers.metadata import read_metadata


class HMDB51(AnnotationDataset):
    r"""HMDB51, from `"HMDB: A Large Video Database for Human Motion Recognition"
    <https://doi.org/10.1109/ICCV.2011.6126543>`_ (Kuehne et al., ICCV 2011), as joints in pixels
    with scores that `PYSKL <https://arxiv.org/abs/2205.09443>`_ publishes.

    The benchmarks ``1``, ``2`` and ``3`` are the official divisions; results are their mean.

    Args:
        root: Folder of the dataset; ``hmdb51_hrnet.pkl`` is looked for, and downloaded to,
            ``<root>/raw``.
        benchmark: ``"1"``, ``"2"`` or ``"3"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: Path of ``hmdb51_hrnet.pkl``, if it is not in ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #videos
          - #train / #val
          - #joints
          - #channels
          - #classes
        * - 6,766
          - 3,570 / 1,530 each
          - 17
          - 3 (x, y in pixels, score)
          - 51
    """

    name = "hmdb51"
    file_name = "hmdb51_hrnet.pkl"
    url = "https://download.openmmlab.com/mmaction/pyskl/data/hmdb51/hmdb51_hrnet.pkl"
    page = "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database"

    def class_names(self) -> Sequence[str]:
        return read_metadata("hmdb51_classes.txt")
