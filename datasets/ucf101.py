"""UCF101: 101 actions from the web, joints found by HRNet in 2-D."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_stgcn.datasets.annotations import AnnotationDataset
from pyg_stgcn.datasets.readers.metadata import read_metadata


class UCF101(AnnotationDataset):
    r"""UCF101, from `"UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild"
    <https://arxiv.org/abs/1212.0402>`_ (Soomro, Zamir and Shah, 2012), as joints in pixels with
    scores that `PYSKL <https://arxiv.org/abs/2205.09443>`_ publishes.

    The benchmarks ``1``, ``2`` and ``3`` are the official divisions; results are their mean.

    Args:
        root: Folder of the dataset; ``ucf101_hrnet.pkl`` is looked for, and downloaded to,
            ``<root>/raw``.
        benchmark: ``"1"``, ``"2"`` or ``"3"``.
        split: ``"train"``, ``"val"`` or ``"all"``.
        transform: Applied to an item on every access.
        pre_transform: Applied to every clip once, before it is stored.
        pre_filter: Decides, before :obj:`pre_transform`, which clips are stored.
        log: Whether to print that the store is being built.
        force_reload: Whether to read the source again.
        source: Path of ``ucf101_hrnet.pkl``, if it is not in ``<root>/raw``.
        strict: Whether a clip that cannot be used is an error instead of being left out.
        drop_leaks: Whether to leave out validation clips that are copies of training clips.
        skip_bad: Whether to leave out any number of clips that cannot be used.

    Raises:
        InputError: If the source cannot be used.

    **STATS:**

    .. list-table::
        :header-rows: 1

        * - #videos
          - #train / #val (1, 2, 3)
          - #joints
          - #channels
          - #classes
        * - 13,320
          - 9,537 / 3,783, 9,586 / 3,734, 9,624 / 3,696
          - 17
          - 3 (x, y in pixels, score)
          - 101
    """

    name = "ucf101"
    file_name = "ucf101_hrnet.pkl"
    url = "https://download.openmmlab.com/mmaction/pyskl/data/ucf101/ucf101_hrnet.pkl"
    page = "https://www.crcv.ucf.edu/data/UCF101.php"

    def class_names(self) -> Sequence[str]:
        return read_metadata("ucf101_classes.txt")
