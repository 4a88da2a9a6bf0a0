"""Builds the kernels of pyg_stgcn.runtime, and the library of pyg_stgcn.engine, where that is
possible; all else is in pyproject.toml.

The package works without them, more slowly or without the engine. The kernels need torch while they
are built, so install with ``pip install --no-build-isolation``. The engine needs a compiler only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("pyg_stgcn/runtime/kernels")
ENGINE = Path("pyg_stgcn/engine")
#: Files of the engine that run while a model is opened only: they are compiled for size.
OPENING = {"check", "fields", "file", "input_check", "json", "program", "refusals", "stream"}

KERNELS_MISSING = (
    "pyg-stgcn is installed WITHOUT its fast kernels: {}\n"
    "Sparse models run, but no faster than dense ones. With a C++ compiler and torch in place, "
    "install again with --no-build-isolation."
)
ENGINE_MISSING = (
    "pyg-stgcn is installed WITHOUT the library of its engine: {}\n"
    "pyg_stgcn.engine and streams cannot run models. With a C++17 compiler in place, install again."
)


class EngineExtension(Extension):
    """A plain shared library, which ctypes opens: no module of Python."""


def engine() -> EngineExtension:
    """The library of the engine: its own sources, and the kernels that need no torch."""
    sources = [*ENGINE.glob("src/*.cpp"), KERNELS / "choose.cpp", *KERNELS.glob("kernels_*.cpp")]
    headers = [ENGINE / "include" / "stgcn.h", *ENGINE.glob("src/*.h"), *ENGINE.glob("src/*.inc")]
    headers += [*KERNELS.glob("*.h"), *KERNELS.glob("*.inc")]
    compile_args = ["/O2", "/std:c++17", "/EHsc"]
    link_args = []
    if sys.platform != "win32":
        compile_args = ["-g0", "-std=c++17", "-Wno-unknown-pragmas", "-pthread"]
        compile_args += ["-fvisibility=hidden", "-fvisibility-inlines-hidden"]
        compile_args += ["-ffunction-sections", "-fdata-sections"]
    if sys.platform == "linux":
        # A machine that runs it needs no library but libc and libm.
        link_args = ["-static-libstdc++", "-static-libgcc", "-Wl,--exclude-libs,ALL"]
        link_args += ["-Wl,--gc-sections", "-s", "-pthread"]
    return EngineExtension(
        "pyg_stgcn.engine._stgcn",
        [str(path) for path in sorted(sources)],
        include_dirs=[str(ENGINE / "include"), str(ENGINE / "src"), str(KERNELS)],
        depends=[str(path) for path in headers],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        optional=True,
    )


def effort(source: str) -> str:
    """How a file of the engine is optimised; the kernels are written in instructions already."""
    name = Path(source).stem
    return "-Os" if name in OPENING else "-O2" if name.startswith("kernels_") else "-O3"


def kernels() -> Extension | None:
    """The extension of the runtime; none without a torch to build with."""
    try:
        from torch.utils.cpp_extension import CppExtension
    except (ImportError, OSError) as error:
        give_up(KERNELS_MISSING, f"torch cannot be imported here ({error})")
        return None
    # The operations of adaptive backbones are those of the engine.
    adaptive = ENGINE / "src"
    compile_args, link_args = ["-O3", "-Wno-unknown-pragmas"], []
    if sys.platform == "win32":
        compile_args = ["/O2"]
    elif sys.platform == "linux":
        # Otherwise the loops of ATen/Parallel.h run on one thread.
        compile_args.append("-fopenmp")
        link_args.append("-fopenmp")
    return CppExtension(
        "pyg_stgcn.runtime._native",
        [str(path) for path in sorted([*KERNELS.glob("*.cpp"), *adaptive.glob("adaptive*.cpp")])],
        include_dirs=[str(folder.resolve()) for folder in (KERNELS, adaptive)],
        depends=[str(path) for folder in (KERNELS, adaptive) for path in folder.iterdir()],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        # A failure leaves the package without the extension instead of not installed.
        optional=True,
    )


def build_command(base: type[build_ext]) -> type[build_ext]:
    """The command ``build_ext``, whose failures leave the package without a library.

    Args:
        base: That of torch, which sets its own flags and macros for all extensions, or the
            plain one.
    """

    # A type checker does not know the base, which torch brings or not.
    class OptionalBuild(base):  # type: ignore[misc, valid-type]
        def run(self) -> None:
            try:
                super().run()
            except Exception as error:
                give_up(KERNELS_MISSING, error)

        def build_extensions(self) -> None:
            every, self.extensions = self.extensions, []
            for extension in every:
                if isinstance(extension, EngineExtension):
                    self.build_engine(extension)
                else:
                    self.extensions.append(extension)
            try:
                if self.extensions:
                    super().build_extensions()
            except Exception as error:
                give_up(KERNELS_MISSING, error)
            finally:
                self.extensions = every

        def build_engine(self, extension: Extension) -> None:
            # Torch builds always; here the files tell whether they have changed.
            force, self.force = self.force, False
            by_file = sys.platform != "win32"
            if by_file:
                compile_one = self.compiler._compile
                self.compiler._compile = lambda object_file, source, suffix, cc, extra, pp: (
                    compile_one(object_file, source, suffix, cc, [*extra, effort(source)], pp)
                )
            try:
                build_ext.build_extension(self, extension)
            except Exception as error:
                give_up(ENGINE_MISSING, error)
            finally:
                self.force = force
                if by_file:
                    del self.compiler._compile

        def get_export_symbols(self, extension: Extension) -> list[str]:
            # It is no module, and has no function that makes one.
            plain = isinstance(extension, EngineExtension)
            return extension.export_symbols if plain else super().get_export_symbols(extension)

    return OptionalBuild


def give_up(message: str, reason: object) -> None:
    """Say that the package is installed without one of its libraries."""
    print(f"\n{message.format(reason)}\n", file=sys.stderr)


def build() -> dict[str, Any]:
    """The arguments of ``setup``."""
    extensions: list[Extension] = [engine()]
    base = build_ext
    if (runtime := kernels()) is not None:
        from torch.utils.cpp_extension import BuildExtension

        extensions.append(runtime)
        base = BuildExtension
    return {"ext_modules": extensions, "cmdclass": {"build_ext": build_command(base)}}


setup(**build())
