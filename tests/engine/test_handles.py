"""Models and streams that are shared between threads, and closed."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyg_stgcn.engine import Engine
from pyg_stgcn.engine.library import library
from pyg_stgcn.errors import InputError
from tests.engine.small_engines import CLASSES, poses, prepared


def uses(engine: Engine) -> dict[str, Callable[[], object]]:
    """Calls of an engine that use its handle."""
    features = np.zeros(engine.features(prepared()).shape[1])
    return {
        "classify": lambda: engine.classify(poses()),
        "predict": lambda: engine.predict(poses()),
        "logits": lambda: engine.logits(prepared()),
        "features": lambda: engine.features(prepared()),
        "classify_features": lambda: engine.classify_features(features),
        "stream": engine.stream,
    }


@pytest.mark.parametrize("name", ["space", "sliding"])
@pytest.mark.parametrize("model_first", [True, False])
def test_what_is_closed_says_so(contents: dict[str, bytes], name: str, model_first: bool) -> None:
    engine = Engine.from_bytes(contents[name])
    calls, stream = uses(engine), engine.stream(4)
    stream.push(poses())
    for one in (engine, stream) if model_first else (stream, engine):
        one.close()
        one.close()
    for call in calls.values():
        with pytest.raises(InputError, match="the engine is closed; open it again"):
            call()
    for use in (
        *(
            lambda: stream.push(poses()),
            lambda: stream.push_prepared(poses()),
        ),
        *(stream.finish, stream.reset, stream.features),
    ):
        with pytest.raises(InputError, match="the stream is closed; open it again"):
            use()
    assert engine.classes == CLASSES and repr(engine)


def test_a_stream_keeps_its_model_open(contents: dict[str, bytes]) -> None:
    stream = Engine.from_bytes(contents["space"]).stream()
    gc.collect()
    stream.push(poses())
    assert stream.finish() is not None
    del stream
    gc.collect()


@pytest.mark.parametrize("name", ["space", "sliding"])
def test_threads_share_an_engine(engines: dict[str, Engine], name: str) -> None:
    """They wait for each other, and their own answers come out."""
    engine = engines[name]
    clips = [poses(frames) for frames in range(4, 20)]

    def stream(clip: NDArray[Any]) -> NDArray[np.float32] | None:
        with engine.stream() as stream:
            for frame in clip:
                stream.push(frame)
            return stream.finish()

    for function in (engine.classify, stream):
        expected = [function(clip) for clip in clips]
        with ThreadPoolExecutor(6) as pool:
            for found in (pool.map(function, clips) for _ in range(4)):
                for one, other in zip(found, expected, strict=True):
                    assert np.array_equal(one, other)


def test_an_engine_is_closed_while_threads_use_it(contents: dict[str, bytes]) -> None:
    """Each call is answered, or says that the handle is closed."""
    for _ in range(5):
        engine = Engine.from_bytes(contents["space"])
        expected, clip = engine.classify(poses()), poses()

        def classify(engine: Engine = engine, clip: Any = clip, expected: Any = expected) -> None:
            while True:
                assert np.array_equal(engine.classify(clip), expected)

        def push(engine: Engine = engine, clip: Any = clip) -> None:
            stream = engine.stream()
            while True:
                stream.push(clip)

        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(function) for function in (classify, push, classify, push)]
            time.sleep(0.01)
            engine.close()
            for one in found:
                with pytest.raises(InputError, match="is closed; open it again"):
                    one.result(10)


def test_one_stream_in_several_threads(engines: dict[str, Engine]) -> None:
    """Frames arrive in any order, each of them once."""
    with engines["space"].stream(window=40) as stream, ThreadPoolExecutor(4) as pool:
        frame = poses(1)
        list(pool.map(stream.push, [frame] * 40))
        found = stream.finish()
    with engines["space"].stream(window=40) as stream:
        stream.push(np.repeat(frame, 40, axis=0))
        expected = stream.finish()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def endless(built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Threads that push frames, and count what is allocated."""
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs g++ and Linux")
    program = tmp_path_factory.mktemp("endless") / "endless"
    source, found = Path(__file__).with_name("endless.cpp"), library().path
    include = Path(sys.modules["pyg_stgcn.engine"].__path__[0]) / "include"
    words = ["-std=c++17", "-O0", "-pthread", f"-I{include}", source, found]
    words += [f"-Wl,-rpath,{found.parent}", "-o", program]
    subprocess.run([compiler, *map(str, words)], check=True)
    return program


@pytest.mark.parametrize("name", ["space", "plane", "sliding"])
def test_streams_and_clips_allocate_nothing(
    contents: dict[str, bytes], endless: Path, tmp_path: Path, name: str
) -> None:
    """By hand the harness runs longer, and with sanitizers in all sources."""
    path = tmp_path / "model.stgcn"
    path.write_bytes(contents[name])
    call = [str(endless), "3000", "3", str(path)]
    found = subprocess.run(call, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr + found.stdout
    assert found.stdout.startswith("0 allocations")
