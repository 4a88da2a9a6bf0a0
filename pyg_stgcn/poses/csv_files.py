"""Reader of tables in text files: one row a person and frame, the joints in columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import Meaning, find_meaning, has_joints
from pyg_stgcn.poses.frame_names import check_numbers, common_step
from pyg_stgcn.poses.pose_reader import PoseHints
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.table_columns import find_columns, find_grouped_columns, is_coordinate
from pyg_stgcn.poses.table_index import Rows, Table, index_rows, split_cells
from pyg_stgcn.skeletons import Skeleton

#: Rows that tell the unit of the coordinates.
_SAMPLE = 256
_BOM = b"\xef\xbb\xbf"
#: First cells of the rows of a header of DeepLabCut.
_DEEPLABCUT = ("scorer", "individuals", "bodyparts", "coords")


class CsvReader:
    """Reader of wide tables: a row a person and frame, columns such as ``nose_x``.

    Columns are separated by commas, semicolons or tabs. The names of the joints decide the layout;
    numbered joints, as in tables of MediaPipe landmarks, do so by their number. A score may be
    called score, confidence, visibility or likelihood. The header of DeepLabCut, of three or four
    rows, is read too. An empty cell or NaN is a missing joint.
    """

    format = "CSV tables of joints"

    def recognises(self, path: Path, head: bytes) -> bool:
        lines = head.removeprefix(_BOM).splitlines()[:1]
        if not lines or b"\0" in head or lines[0].lstrip()[:1] in (b"[", b"{"):
            return False
        text = lines[0].decode(errors="replace")
        cells = [cell.strip() for cell in split_cells(text, _delimiter(text))]
        if cells[0] in _DEEPLABCUT and len(cells) > 2:
            return True
        return {"x", "y"} <= {part for cell in cells if (part := is_coordinate(cell))}

    def open(self, path: Path, hints: PoseHints) -> list[Recording]:
        table = _read_header(path, hints.skeleton)
        found = index_rows(table)
        meaning, skeleton = find_meaning(
            _sample(table, found),
            table.columns.skeleton or hints.skeleton,
            hints.image_size,
            str(path),
            axes=table.columns.axes,
            score=table.columns.axes if table.columns.has_score else None,
        )
        return [_recording(table, rows, meaning, skeleton, hints) for rows in found]


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def _read_header(path: Path, given: Skeleton | None) -> Table:
    with path.open("rb") as file:
        file.seek(len(_BOM) if file.read(len(_BOM)) == _BOM else 0)
        lines = [file.readline().decode(errors="replace")]
        delimiter = _delimiter(lines[0])
        header = [[cell.strip() for cell in split_cells(lines[0].rstrip("\r\n"), delimiter)]]
        start = file.tell()
        if header[0][0] in _DEEPLABCUT:
            while True:
                line = file.readline().decode(errors="replace")
                cells = [cell.strip() for cell in split_cells(line.rstrip("\r\n"), delimiter)]
                if cells[0] not in _DEEPLABCUT:
                    break
                header.append(cells)
                start = file.tell()
    if len(header) == 1:
        columns = find_columns(header[0], given, str(path))
        return Table(path, delimiter, columns, header[0], start, 1)
    rows = {cells[0]: cells for cells in header}
    if not {"bodyparts", "coords"} <= rows.keys():
        raise InputError(f"{path}: has no rows bodyparts and coords in its header; write it again")
    individuals = rows.get("individuals", [""] * len(rows["coords"]))
    parts = zip(individuals, rows["bodyparts"], rows["coords"], strict=False)
    joints = [None if i == 0 else triple for i, triple in enumerate(parts)]
    names = [" ".join(cells) for cells in zip(rows["bodyparts"], rows["coords"], strict=False)]
    columns = find_grouped_columns(joints, given, str(path))
    return Table(path, delimiter, columns, names, start, len(header))


def _sample(table: Table, recordings: list[Rows]) -> NDArray[np.float64]:
    """Persons of some rows of a table, as :math:`(M, V, K)`."""
    offsets = np.concatenate([rows.offsets for rows in recordings])
    numbers = np.concatenate([rows.rows for rows in recordings])
    every = max(1, len(offsets) // _SAMPLE)
    chosen = np.zeros(len(offsets), bool)
    chosen[::every] = True
    order = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)])
    persons: list[NDArray[np.float64]] = []
    found_joint = False
    with table.path.open("rb") as file:
        for offset, row in zip(offsets[order].tolist(), numbers[order].tolist(), strict=True):
            # Beyond the sample, until a joint is found.
            if len(persons) >= chosen.sum() and found_joint:
                break
            file.seek(offset)
            persons.append(table.numbers(file.readline(), row))
            found_joint = found_joint or has_joints(persons[-1])
    return np.concatenate(persons)


def _recording(
    table: Table, rows: Rows, meaning: Meaning, skeleton: Skeleton, hints: PoseHints
) -> Recording:
    first, last = int(rows.numbers[0]), int(rows.numbers[-1])
    check_numbers(table.path, first, last)
    _check_tracks(table, rows)
    step = common_step(np.unique(rows.numbers))

    def frames() -> Iterator[Frame]:
        with table.path.open("rb") as file:
            place = -1
            for number, which in rows.frames():
                persons = []
                for offset, row in zip(
                    rows.offsets[which].tolist(), rows.rows[which].tolist(), strict=True
                ):
                    if offset != place:
                        file.seek(offset)
                    line = file.readline()
                    place = offset + len(line)
                    persons.append(table.numbers(line, row))
                where = f"{table.path}: frame {number} (row {rows.rows[which.start]})"
                joints, scores, seen = meaning.convert(np.concatenate(persons), skeleton, where)
                yield Frame(number, joints, scores, _tracks(table, rows, which, seen))

    return meaning.recording(
        rows.name or table.path.stem,
        table.path,
        skeleton,
        frames,
        fps=hints.fps,
        num_frames=(last - first) // step + 1,
        step=step,
    )


def _tracks(
    table: Table, rows: Rows, which: slice, seen: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """Identity of the persons of a frame, by the column for it or by their place in the row."""
    persons = table.columns.persons
    if rows.tracks is None:
        several_rows = which.stop - which.start > 1
        return None if persons == 1 or several_rows else np.flatnonzero(seen)
    tracks = np.repeat(rows.tracks[which], persons) * persons + np.tile(
        np.arange(persons), which.stop - which.start
    )
    return np.where(tracks < 0, -1, tracks)[seen]


def _check_tracks(table: Table, rows: Rows) -> None:
    if rows.tracks is None:
        return
    order = np.lexsort((rows.tracks, rows.numbers))
    numbers, tracks = rows.numbers[order], rows.tracks[order]
    twice = (np.diff(numbers) == 0) & (np.diff(tracks) == 0) & (tracks[1:] >= 0)
    if twice.any():
        one = int(np.flatnonzero(twice)[0])
        lines = sorted(rows.rows[order[[one, one + 1]]].tolist())
        raise InputError(
            f"{table.path}: rows {lines[0]} and {lines[1]} are both person {tracks[one]} of frame "
            f"{numbers[one]}; remove one of them, or add a column with the name of the video"
        )
