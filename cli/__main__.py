"""``python -m pyg_stgcn.cli``, the same as ``pyg-stgcn``."""

from pyg_stgcn.cli import main

if __name__ == "__main__":
    main(prog_name="pyg-stgcn")
