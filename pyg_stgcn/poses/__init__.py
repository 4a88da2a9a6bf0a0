"""Readers of pose-estimator output, conversion between joint layouts, and tracking."""
