"""The store: prepared clips on disk, memory-mapped, and how they are divided."""
