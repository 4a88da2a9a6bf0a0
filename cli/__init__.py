"""The command line, imported as ``pyg_stgcn.cli``."""

import click


@click.group()
def main() -> None:
    """Train, prune and judge spatial-temporal graph convolution networks."""
