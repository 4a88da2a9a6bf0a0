"""Networks without their pruned channels."""

from pyg_stgcn.models.shrinking.shrink import has_pruned_channels, shrink

__all__ = ["has_pruned_channels", "shrink"]
