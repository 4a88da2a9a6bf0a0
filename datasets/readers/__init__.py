"""Readers of foreign files, and checks of their content."""
