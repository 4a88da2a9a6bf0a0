"""Readers of pose-estimator output, conversion between joint layouts, and tracking."""

from pyg_stgcn.poses.layout_conversion import convert_layout
from pyg_stgcn.poses.open_poses import list_recordings, open_poses
from pyg_stgcn.poses.open_video import open_video
from pyg_stgcn.poses.pose_clip import PoseClip, clip_windows, collect_clip
from pyg_stgcn.poses.poses_file import write_poses
from pyg_stgcn.poses.recording import Frame, Recording
from pyg_stgcn.poses.tracking import track

__all__ = [
    "Frame",
    "PoseClip",
    "Recording",
    "clip_windows",
    "collect_clip",
    "convert_layout",
    "list_recordings",
    "open_poses",
    "open_video",
    "track",
    "write_poses",
]
