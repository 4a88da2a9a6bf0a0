"""Readers of pose-estimator output, conversion between joint layouts, and tracking."""

from pyg_stgcn.poses.open_poses import list_recordings, open_poses
from pyg_stgcn.poses.poses_file import write_poses
from pyg_stgcn.poses.recording import Frame, Recording

__all__ = ["Frame", "Recording", "list_recordings", "open_poses", "write_poses"]
