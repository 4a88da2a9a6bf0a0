"""The lottery: iterative magnitude pruning with rewinding, and its controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pyg_stgcn.errors import InputError
from pyg_stgcn.plots.studies import plot_sweep
from pyg_stgcn.runs.folder import Run
from pyg_stgcn.runs.new_run import describe_run, open_clips
from pyg_stgcn.runs.options import TrainOptions
from pyg_stgcn.sparsity import (
    Ticket,
    full_masks,
    kept_after,
    load_ticket,
    prune_further,
    random_masks,
    save_ticket,
)
from pyg_stgcn.sparsity.container import checksum
from pyg_stgcn.studies.jobs import Job
from pyg_stgcn.studies.lottery_verdict import (
    COLUMNS,
    CONTROLS,
    DENSE,
    TICKET,
    rows_of,
    verdict,
)
from pyg_stgcn.studies.records import summary_of
from pyg_stgcn.tables import write_csv, write_json
from pyg_stgcn.training.from_ticket import learned_masks, ticket_metadata


def planned_run(options: Mapping[str, Any], folder: Path) -> Run:
    """The dense run that options of ``train`` describe, before its training; opens its data."""
    return describe_run(folder, *open_clips(TrainOptions.of(**options)))


def rewind_epoch(epochs: int) -> int:
    """One percent of a training, at least one epoch: late rewinding (Frankle et al., 2020)."""
    return min(max(1, round(epochs / 100)), epochs - 1)


def runs_by_seed(folders: Iterable[Path], dense: Run) -> dict[int, Run]:
    """Finished sparse runs, by their seeds, whose masks are to be evaluated.

    Args:
        folders: Of the runs.
        dense: A run of the network that the masks are for; its training need not have begun.

    Raises:
        InputError: A folder holds no finished sparse run of this network, or two have the same
            seed.
    """
    runs: dict[int, Run] = {}
    for folder in folders:
        run = Run.open(folder)
        if run.config.model.levels:
            raise InputError(
                f"{folder}: is an assembly, whose experts have masks of their own; name a run of a "
                "single model"
            )
        if run.config.sparsity.sparsity == 0 and run.config.sparsity.edge_sparsity > 0:
            raise InputError(f"{folder}: has pruned edges only; name a run with pruned weights")
        if run.config.sparsity.sparsity == 0 and run.config.sparsity.ticket is None:
            raise InputError(f"{folder}: is a dense run, which has no masks; name a sparse one")
        if (other := runs.setdefault(run.config.optim.seed, run)) is not run:
            raise InputError(
                f"{folder}: has the seed {run.config.optim.seed}, as {other.folder} has; "
                "name one run of each seed"
            )
        learned_masks(run, dense)
    return runs


@dataclass(frozen=True)
class Lottery:
    r"""The tickets of a lottery, and the trainings that evaluate them.

    For each seed a dense network is trained, which saves its weights :math:`W(j)` of epoch
    :math:`j`. Each round prunes a fraction :math:`p` of the kept weights, those of smallest
    trained magnitude, rewinds the others to :math:`W(j)` and trains them from there to the end.
    From "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks" (Frankle and
    Carbin, 2019) and "Linear Mode Connectivity and the Lottery Ticket Hypothesis" (Frankle et al.,
    2020).

    Args:
        folder: Of the whole lottery: tickets, runs and the result.
        options: Options of ``train`` of all runs.
        seeds: Of the dense networks; each has its own tickets and controls.
        rounds: Number of prunings.
        rate: Fraction of the kept weights that a round prunes, :math:`p`, in (0, 1).
        rewind_epoch: :math:`j`; 0 is the initialisation.
        one_shot: Whether each round prunes the dense network instead of the previous ticket.
        controls: Any of :data:`CONTROLS`.
        allocation: Distribution of the pruned weights over the layers, see
            :func:`~pyg_stgcn.sparsity.prune_further`.
        min_density: Least density of every layer, see there.
        score_scale: Scale of the magnitudes of different layers, see there.
        sources: Sparse runs by seed. Their masks replace those of the rounds, to test whether the
            masks of another method are tickets.
    """

    folder: Path
    options: Mapping[str, Any]
    seeds: Sequence[int]
    rounds: int
    rate: float
    rewind_epoch: int
    one_shot: bool = False
    controls: Sequence[str] = CONTROLS
    allocation: str = "global"
    min_density: float = 0.0
    score_scale: str = "none"
    sources: Mapping[int, Run] = field(default_factory=dict)

    @property
    def variants(self) -> tuple[str, ...]:
        """The ticket and its controls."""
        return (TICKET, *self.controls)

    @property
    def num_runs(self) -> int:
        """Number of the runs of all stages."""
        return len(self.seeds) * (1 + self.rounds * len(self.variants))

    def stages(self) -> Iterator[tuple[str, list[Job]]]:
        """Stages of trainings. Those of one stage can run in parallel, after the previous stages.

        Writes the tickets of a stage before it is yielded.

        Yields:
            The name of the stage, and its trainings.
        """
        yield "dense", [self.job(DENSE, 0, seed) for seed in self.seeds]
        numbers = range(1, self.rounds + 1)
        groups = [list(numbers)] if self.one_shot else [[number] for number in numbers]
        for group in groups:
            for number in group:
                for seed in self.seeds:
                    self._draw(number, seed)
            # The tickets first: the next round needs them, but not the controls.
            jobs = [
                self.job(variant, number, seed)
                for variant in self.variants
                for number in group
                for seed in self.seeds
            ]
            name = "one shot" if self.one_shot else f"round {group[0]} of {self.rounds}"
            yield "given masks" if self.sources else name, jobs

    def job(self, variant: str, number: int, seed: int) -> Job:
        """The training of one variant in one round."""
        own: dict[str, Any] = {**self.options, "seed": seed}
        if variant == DENSE:
            label = f"dense-seed{seed}"
            own["save_epoch"] = self.rewind_epoch
        else:
            # The file of a ticket records which parameters are masked.
            own = {name: own[name] for name in own if name not in ("include", "exclude")}
            label = f"round{number}-{variant}-seed{seed}"
            own["ticket"] = str(
                self.ticket_file("random" if variant == "random" else TICKET, number, seed)
            )
            if variant == "redrawn":
                own["redraw"] = True
        return Job(label, self.folder / label, own)

    def sparsity(self, number: int) -> float:
        """Sparsity after a round."""
        return 1 - kept_after(number, self.rate)

    def ticket_file(self, variant: str, number: int, seed: int) -> Path:
        """The file of a ticket, or of the random masks."""
        return self.folder / "tickets" / f"round{number}-{variant}-seed{seed}.safetensors"

    def _draw(self, number: int, seed: int) -> None:
        """Write the missing tickets of a round."""
        dense = Run.open(self.job(DENSE, 0, seed).folder)
        metadata = ticket_metadata(dense, self.rewind_epoch) | {"round": number}
        if self.sources:
            source = self.sources[seed]
            learned = learned_masks(source, dense)
            metadata |= source.mask_options
            metadata["source"] = {"folder": str(source.folder), "masks": checksum(learned, "")}
        else:
            metadata["sparsity"] = self.sparsity(number)
            rules = ("one_shot", "allocation", "min_density", "score_scale")
            metadata |= {name: getattr(self, name) for name in rules}
        kinds = [kind for kind in (TICKET, "random") if kind in self.variants]
        files = {kind: self.ticket_file(kind, number, seed) for kind in kinds}
        missing = [
            kind for kind in kinds if not _is_drawn(files[kind], {**metadata, "variant": kind})
        ]
        if not missing:
            return
        files[TICKET].parent.mkdir(parents=True, exist_ok=True)
        early = dense.with_weights(dense.early_weights(self.rewind_epoch)).state_dict()
        for kind in missing:
            if kind == TICKET:
                masks = learned if self.sources else self._found_masks(dense, number, seed)
            else:
                found = load_ticket(files[TICKET]).masks
                generator = torch.Generator().manual_seed(1000 * seed + number)
                masks = random_masks(found, generator, metadata["structure"])
            save_ticket(files[kind], Ticket(masks, early, {**metadata, "variant": kind}))

    def _found_masks(self, dense: Run, number: int, seed: int) -> dict[str, torch.Tensor]:
        if number == 1 or self.one_shot:
            trained = dense
            maskable = dense.config.maskable
            masks = full_masks(dense.load_model(), maskable["include"], maskable["exclude"])
        else:
            trained = Run.open(self.job(TICKET, number - 1, seed).folder)
            masks = dict(load_ticket(self.ticket_file(TICKET, number - 1, seed)).masks)
        return prune_further(
            trained.load_model().state_dict(),
            masks,
            self.sparsity(number),
            allocation=self.allocation,
            min_density=self.min_density,
            score_scale=self.score_scale,
        )

    def summarise(self, figure: Path | None = None) -> dict[str, Any]:
        """Write the table and figure of the finished runs: ``lottery.json``, ``.csv``, ``.png``.

        ``difference`` is the mean difference in top-1 to the dense run of the same seed, and
        ``lead`` that of the ticket of the same round and seed to a control, both with the limits
        of their 95 % confidence intervals (Student's t, for paired samples). A ticket ``wins`` if
        its mean is at most one standard deviation of the dense runs below theirs, and the interval
        of its lead over each control is above zero. This is unknown without two seeds or without
        both controls.

        Args:
            figure: Another file for the figure, such as a PDF.

        Returns:
            ``verdict``, ``rows`` and ``runs``, and the files.
        """
        runs = [_read(self.job(DENSE, 0, seed), DENSE, 0) for seed in self.seeds]
        for number in range(1, self.rounds + 1):
            for variant in self.variants:
                found = [
                    _read(self.job(variant, number, seed), variant, number) for seed in self.seeds
                ]
                runs += found
        rows = rows_of(runs)
        files = {kind: self.folder / f"lottery.{kind}" for kind in ("json", "csv", "png")}
        write_csv(files["csv"], COLUMNS, rows)
        result = {
            "verdict": verdict(rows),
            "rounds": self.rounds,
            "rate": self.rate,
            "rewind_epoch": self.rewind_epoch,
            "one_shot": self.one_shot,
            "rows": rows,
            "runs": runs,
            "csv": str(files["csv"]),
            "png": str(files["png"]),
        }
        write_json(files["json"], result)
        points = [{**row, "method": row["variant"], "sparsity": 1 - row["kept"]} for row in rows]
        plot_sweep((files["png"], figure), points, "lottery: tickets and their controls")
        return result


def _is_drawn(path: Path, metadata: Mapping[str, Any]) -> bool:
    if not path.exists():
        return False
    found = load_ticket(path).metadata
    theirs, ours = (each.get("source", {}) for each in (found, metadata))
    if theirs.get("masks") != ours.get("masks"):
        origins = [source.get("folder", "the rounds") for source in (theirs, ours)]
        raise InputError(
            f"{path}: has earlier masks of {origins[0]}, not those of {origins[1]}; "
            "name another folder"
        )
    for name, value in metadata.items():
        if name != "source" and found.get(name) != value:
            raise InputError(
                f"{path}: is a ticket with {name} {found.get(name)}, not {value}; name another "
                "folder"
            )
    return True


def _read(job: Job, variant: str, number: int) -> dict[str, Any]:
    summary = summary_of(job)
    names = ("seed", "top1", "mean_class", "params_kept_fraction", "seconds")
    found = {name: summary[name] for name in names}
    kept = 1 - summary["sparsity"]
    return {"variant": variant, "round": number, "kept": kept, **found, "folder": str(job.folder)}
