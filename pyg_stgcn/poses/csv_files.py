"""Reader of tables in text files: one row a person and frame, the joints in columns."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.coordinates import Meaning, find_meaning
from pyg_stgcn.poses.frame_files import check_numbers
from pyg_stgcn.poses.pose_reader import PoseHints, common_step
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.table_columns import Columns, find_columns, find_grouped_columns
from pyg_stgcn.skeletons import Skeleton
