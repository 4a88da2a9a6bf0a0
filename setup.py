"""Builds the kernels of pyg_stgcn.runtime where that is possible; all else is in pyproject.toml.

The package works without them, more slowly. They need torch while they are built, so install with
``pip install --no-build-isolation``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from setuptools import setup

FOLDER = Path("pyg_stgcn/runtime/kernels")


def kernels() -> dict[str, Any]:
    """The arguments of ``setup`` for the extension; none without a torch to build with."""
    try:
        from torch.utils.cpp_extension import BuildExtension, CppExtension
    except (ImportError, OSError) as error:
        give_up(f"torch cannot be imported here ({error})")
        return {}

    class OptionalBuild(BuildExtension):
        def build_extension(self, ext: Any) -> None:
            try:
                super().build_extension(ext)
            except Exception as error:
                give_up(str(error))

        def run(self) -> None:
            try:
                super().run()
            except Exception as error:
                give_up(str(error))

    compile_args, link_args = ["-O3", "-Wno-unknown-pragmas"], []
    if sys.platform == "win32":
        compile_args = ["/O2"]
    elif sys.platform == "linux":
        # Otherwise the loops of ATen/Parallel.h run on one thread.
        compile_args.append("-fopenmp")
        link_args.append("-fopenmp")
    extension = CppExtension(
        "pyg_stgcn.runtime._native",
        [str(path) for path in sorted(FOLDER.glob("*.cpp"))],
        depends=[str(path) for path in FOLDER.iterdir()],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        # A failure leaves the package without the extension instead of not installed.
        optional=True,
    )
    return {
        "ext_modules": [extension],
        "cmdclass": {"build_ext": OptionalBuild},
    }


def give_up(reason: str) -> None:
    """Say that the package is installed without its kernels."""
    print(
        f"\npyg-stgcn is installed WITHOUT its fast kernels: {reason}\n"
        "Sparse models run, but no faster than dense ones. With a C++ compiler and torch in place, "
        "install again with --no-build-isolation.\n",
        file=sys.stderr,
    )


setup(**kernels())
