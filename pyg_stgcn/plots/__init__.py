"""Figures of clips, runs and masks."""
