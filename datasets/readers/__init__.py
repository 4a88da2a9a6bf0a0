"""Readers of the files that other people write, and the checks of what is in them."""
