"""Import of a folder of pose files into one pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pyg_stgcn.datasets.importing.annotation_file import make_content, write_content
from pyg_stgcn.datasets.importing.import_cache import ImportCache, cache_folder, import_cache
from pyg_stgcn.datasets.importing.import_options import ImportOptions
from pyg_stgcn.datasets.importing.import_report import ImportReport, check_problems, label_problems
from pyg_stgcn.datasets.importing.label_rows import Labels, read_labels
from pyg_stgcn.datasets.importing.path_clips import ImportContext, PathClips, read_path
from pyg_stgcn.datasets.importing.places import all_in_splits
from pyg_stgcn.datasets.store.parallel import map_chunks
from pyg_stgcn.errors import InputError
from pyg_stgcn.files import check_place
from pyg_stgcn.poses.open_poses import list_recordings
from pyg_stgcn.progress import tell, with_progress
from pyg_stgcn.text import count

#: Paths that a process reads at a time, and number from which on several processes read.
_CHUNK, _MIN_PATHS = 4, 16


def import_poses(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: ImportOptions | None = None,
) -> ImportReport:
    """Import a folder of pose files into one pickle in PYSKL's form.

    Every pose file, and every folder of files of one frame each, is a clip, or several with
    :attr:`ImportOptions.labels` or :attr:`ImportOptions.per_person`. The folder around it is its
    class, folders above that called ``train``, ``val`` and ``test`` are splits. All clips are in
    memory while the pickle is written.

    An import that is killed can be repeated: clips that were read are kept beside the output, and
    the result is the same. They are deleted at the end.

    Args:
        folder: The folder.
        out: The pickle, written in one step when all is read.
        options: The options.

    Returns:
        What was imported, and what was skipped and why.

    Raises:
        InputError: If the folder, an option or too many recordings cannot be used.

    Example:
        >>> report = import_poses("recordings", "mine.pkl", ImportOptions(split=0.2))
        >>> SkeletonPickle(report.out)
    """
    folder, out = Path(folder), Path(out)
    options = options or ImportOptions()
    check_output(out)
    labels = None if options.labels is None else read_labels(options.labels)
    _check_persons(labels, options)
    paths = _list_paths(folder, out, options)
    context = ImportContext(folder, options, labels, all_in_splits(folder, paths))
    with import_cache(out, context.digest()) as cache:
        found = list(_read_all(paths, context, cache))
        problems = [problem for part in found for problem in part.problems]
        if labels is not None:
            problems += label_problems(labels, found)
        clips = [clip for part in found for clip in part.clips]
        check_problems(clips, problems, folder, options)
        content, report = make_content(clips, problems, out, options)
        write_content(content, out)
    return report


def check_output(out: Path) -> None:
    """Check that a pickle can be written.

    Raises:
        InputError: If its name has another ending, or its folder does not exist.
    """
    if out.suffix not in (".pkl", ".pickle"):
        raise InputError(f"{out}: the name of a pickle ends in .pkl; write {out.stem}.pkl")
    check_place(out)


def _check_persons(labels: Labels | None, options: ImportOptions) -> None:
    if labels is not None and labels.have_persons and not options.per_person:
        raise InputError(
            f"{labels.path}: labels single persons, whose clips need per_person=True; or leave its "
            "column 'person' empty"
        )


def _list_paths(folder: Path, out: Path, options: ImportOptions) -> list[Path]:
    """The paths of the recordings, without files of the import itself."""
    own = {path.resolve() for path in (out, options.labels) if path is not None}
    cache = cache_folder(out).resolve()
    paths = [
        path
        for path in list_recordings(folder)
        if (place := path.resolve()) not in own and not place.is_relative_to(cache)
    ]
    if not paths:
        raise InputError(f"{folder}: contains no recordings; name a folder of pose files")
    return paths


def _read_all(
    paths: Sequence[Path], context: ImportContext, cache: ImportCache
) -> Iterator[PathClips]:
    """Read all paths into the cache, in several processes, and then all of the cache."""
    if kept := cache.num_files():
        tell(
            f"an import that was stopped has read {count(kept, 'recording')}; those that have not "
            "changed are not read again"
        )
    read = partial(_read_chunk, context=context, cache=cache)
    results = map_chunks(read, paths, chunk=_CHUNK, min_items=_MIN_PATHS)
    files = list(with_progress(results, f"importing {context.folder}", len(paths)))
    yield from map(cache.load, files)


def _read_chunk(paths: Sequence[Path], context: ImportContext, cache: ImportCache) -> list[Path]:
    return [_read_one(path, context, cache) for path in paths]


def _read_one(path: Path, context: ImportContext, cache: ImportCache) -> Path:
    file = cache.file_of(path)
    if not cache.is_complete(file):
        cache.save(file, read_path(path, context))
    return file
