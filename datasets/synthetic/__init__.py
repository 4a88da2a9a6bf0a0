"""Synthetic actions of a kinematic body, made without any download."""
