"""Import of pose files: labels, splits, and one pickle in PYSKL's form."""
