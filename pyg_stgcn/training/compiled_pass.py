"""Forward passes of a training, compiled to one graph each."""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from pyg_stgcn.errors import InputError
from pyg_stgcn.models import Assembly, Backbone
from pyg_stgcn.progress import tell

logger = logging.getLogger(__name__)

#: Maps ``x``, ``batch`` and ``batch_size`` to logits, and further logits for the training loss.
Pass = Callable[[Tensor, Tensor, int], tuple[Tensor, list[Tensor]]]
BACKEND = "inductor"
#: Steps of each kind that are timed to compare them.
_STEPS = 3
_INSTEAD = "or leave out compile=True"


class CompiledPass:
    """A forward pass, compiled to one graph that fits all numbers of clips and persons.

    The first batch compiles it, for random clips of its size. So the code, and with it the last
    bits of all results, does not depend on the batch that comes first, as in a resumed run. The
    weights, the statistics and the random numbers of the training do not change.

    If all clips have the same number of persons, the graph is for full batches alone, and on a GPU
    it is recorded as a CUDA graph. Batches that would need a graph of their own are computed
    without: those of another size then, and otherwise those of a single clip or person.

    Args:
        forward (callable): The pass: maps ``x``, ``batch`` and ``batch_size`` to logits and a list
            of further logits.
        model (Backbone or Assembly): The model that it runs.
        clips (int): Clips of a full batch of this process.
        persons (int, optional): Persons of every clip, if they are padded to the same number.

    Raises:
        InputError: If no batch has more than a single clip; in the first call, if the pass cannot
            be compiled here.
    """

    def __init__(
        self, forward: Pass, model: Backbone | Assembly, clips: int, persons: int | None = None
    ) -> None:
        if persons is None and clips == 1:
            raise InputError(
                f"compile: batches of a single clip are not compiled; choose a larger batch_size, "
                f"pad_persons, {_INSTEAD}"
            )
        self.forward = forward
        self.model = model
        self.clips = clips
        self.persons = persons
        self._is_ready = False

        def run(x: Tensor, batch: Tensor, slots: Tensor) -> tuple[Tensor, list[Tensor]]:
            return forward(x.flatten(0, 1), batch.flatten(), slots.size(0))

        fixed = persons is not None
        # Dropout then draws the same numbers as without compilation.
        options: dict[str, Any] = {"fallback_random": True, "triton.cudagraphs": fixed}
        self._graph = torch.compile(
            run,
            fullgraph=True,
            backend=BACKEND,
            options=options if BACKEND == "inductor" else None,
        )

    def __call__(self, x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, list[Tensor]]:
        """Computes the logits of a batch."""
        if not self._is_ready:
            self._prepare(x)
            self._is_ready = True
        persons, rest = divmod(x.size(0), self._joints)
        if self.persons is None:
            fits = batch_size > 1 and persons > 1 and not rest
        else:
            fits = batch_size == self.clips and persons == self.clips * self.persons and not rest
        return (self._run if fits else self.forward)(x, batch, batch_size)

    @property
    def _joints(self) -> int:
        return self.model.skeleton.num_joints

    def _run(self, x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, list[Tensor]]:
        # The numbers of persons and clips are sizes of tensors: a quotient of sizes takes long to
        # trace, and a whole number would be a constant.
        x, batch = (nodes.view(-1, self._joints, *nodes.shape[1:]) for nodes in (x, batch))
        slots = x.new_empty(batch_size)
        if self.persons is None:
            for tensor in (x, batch, slots):
                torch._dynamo.mark_dynamic(tensor, 0)
        torch.compiler.cudagraph_mark_step_begin()
        # Buckets of gradients would cut the graph, and do not know masks.
        with torch._dynamo.config.patch(optimize_ddp=False):
            return self._graph(x, batch, slots)

    def _prepare(self, x: Tensor) -> None:
        rank_zero_only(tell)(
            f"compiling the {'training step' if torch.is_grad_enabled() else 'validation'}, which "
            "may take a minute or more"
        )
        with _unchanged(self.model, x.device):
            clips = self._random_clips(x)
            try:
                with _any_number_of_persons():
                    self._step(self._run, clips)
            except torch._dynamo.exc.TorchDynamoException as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"compile: {type(self.model).__name__} could not be compiled here ({reason}); "
                    f"install a C++ compiler if there is none (on a GPU also Triton), {_INSTEAD}"
                ) from error
            if x.device.type == "cpu" and torch.is_grad_enabled():
                self._compare(clips)

    def _random_clips(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        nodes = (self.persons or 2) * self._joints
        torch.manual_seed(0)
        features = torch.randn(self.clips * nodes, *x.shape[1:])
        batch = torch.arange(self.clips).repeat_interleave(nodes)
        return features.to(x), batch.to(x.device), self.clips

    def _step(self, forward: Pass, clips: tuple[Tensor, Tensor, int]) -> None:
        logits, others = forward(*clips)
        if torch.is_grad_enabled():
            trained = [weight for weight in self.model.parameters() if weight.requires_grad]
            loss = torch.stack([part.float().sum() for part in (logits, *others)]).sum()
            torch.autograd.grad(loss, trained, allow_unused=True)

    def _compare(self, clips: tuple[Tensor, Tensor, int]) -> None:
        """Warns if a step takes longer than without compilation."""
        taken: dict[Pass, list[float]] = {self._run: [], self.forward: []}
        for _ in range(_STEPS):
            for forward, seconds in taken.items():
                start = time.perf_counter()
                self._step(forward, clips)
                seconds.append(time.perf_counter() - start)
        compiled, plain = (1e3 * statistics.median(seconds) for seconds in taken.values())
        if compiled > plain:
            rank_zero_only(logger.warning)(
                "compile: a training step of %d clips takes %.3g ms compiled and %.3g ms otherwise "
                "on this CPU; leave it out",
                self.clips,
                compiled,
                plain,
            )


@contextmanager
def _any_number_of_persons() -> Iterator[None]:
    """Context of a compilation that does not tie a graph to fewer than 16 persons, or to more.

    From 16 on, torch chooses other libraries for convolutions on a CPU. The compiled graph chooses
    again in every call.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
            yield


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Context that leaves the buffers of a model and the state of random numbers as they were."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
