"""The contract of all figures: one style, titles and labels, colours for the colour-blind."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_stgcn import plots
from pyg_stgcn.errors import InputError
from pyg_stgcn.plots import clips, saving, style
from pyg_stgcn.plots.figure_files import CLIP_FORMATS, FORMATS, check_figure
from pyg_stgcn.plots.probabilities import Timeline
from pyg_stgcn.skeletons import Skeleton

#: Four joints: names of many would take most of the time.
BODY = Skeleton(
    "body", ("hip_center", "neck", "left_hand", "right_hand"), ((1, 0), (2, 1), (3, 1)), 1
)


def metrics(epochs: int) -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "val_loss": 2.5 / epoch,
            "train_top1": 0.5,
            "val_top1": 0.4,
            "sparsity": 0.9,
        }
        for epoch in range(1, epochs + 1)
    ]


def points(deviation: float | None) -> list[dict[str, Any]]:
    rows = [("dense", 0.0), *((name, s) for name in ("score", "random") for s in (0.8, 0.95))]
    return [
        {"method": method, "sparsity": sparsity, "top1": 0.8, "top1_deviation": deviation}
        for method, sparsity in rows
    ]


def assembly() -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    rows = [
        {"experts": list(experts), "head": "shared", "kept": 0.1 * len(experts), "top1": 0.8}
        for size in (1, 2, 3)
        for experts in combinations((1, 2, 3), size)
    ]
    control = {"kept": 0.5, "top1": 0.7, "top1_deviation": None}
    return rows, {"dense": control, "sparse": control}


def bench() -> list[dict[str, Any]]:
    sizes = {"threads": 1, "persons": 2, "frames": 50, "milliseconds": 4.0, "ratio": 1.5}
    return [
        {**sizes, "backend": backend, "clips": clips, "fastest": 3.0, "slowest": 5.0}
        for clips in (1, 4)
        for backend in ("eager", "runtime")
    ]


def masks(number: int) -> list[dict[str, Any]]:
    graphs = {name: np.ones((2, 4, 4)) for name in ("stage 1", "stage 2")}
    names = [f"run {i}" for i in range(number)]
    kept = {"stages.0.gcn.weight": 0.5, "stages.1.gcn.weight": 0.1}
    networks = [{"label": n, "skeleton": BODY, "kept": kept, "graphs": graphs} for n in names]
    layers = [{"name": name, "jaccard": 0.2, "chance": 0.1} for name in kept]
    pairs = [
        {"first": a, "second": b, "jaccard": 0.2, "ratio": 2.0, "layers": layers}
        for a, b in combinations(names, 2)
    ]
    return [{"networks": networks, "comparisons": pairs}]


def timelines(number: int, classes: int) -> list[Timeline]:
    """Recordings in which one class after the other is the most probable."""
    one_hot = np.eye(max(classes, 2), dtype=np.float32)
    return [
        Timeline(f"walk {i}", np.arange(4.0), one_hot[np.arange(i, i + 4) % classes])
        for i in range(number)
    ]


def clip() -> Data:
    x = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0))
    return Data(x=x, num_persons=1, name="wave")


def draw_clip(path: Path, *, has_score: bool) -> None:
    clips.draw_clip(path, clip(), BODY, has_score=has_score, title="wave")


#: Arguments of every public function that draws, some with few data.
SAMPLES: dict[str, list[Callable[[Any, Path], None]]] = {
    "plot_curves": [
        lambda plot, path: plot(path, {"": metrics(1)}),
        lambda plot, path: plot(path, {"a": metrics(40), "b": metrics(3)}),
    ],
    "plot_sweep": [
        lambda plot, path: plot(path, points(None), "sweep"),
        lambda plot, path: plot(path, points(0.01), "sweep"),
    ],
    "plot_subsets": [lambda plot, path: plot(path, *assembly())],
    "plot_confusion": [
        lambda plot, path: plot(path, np.eye(3, dtype=np.int64), ["a", "b", "c"]),
        lambda plot, path: plot(path, np.eye(140, dtype=np.int64), list(map(str, range(140)))),
    ],
    "plot_robustness": [
        lambda plot, path: plot(
            path,
            [
                {"dropped": 0.0, "mode": None, "top1": 0.9},
                {"dropped": 0.5, "mode": "random", "top1": 0.5},
            ],
        )
    ],
    "plot_stream": [
        lambda plot, path: plot(
            path,
            [0.5, 1.0],
            {"": [0.2, 0.7]},
            {"actions": [(0, 0, 9), (1, 9, 30)], "events": [(1, 12, 40)]},
            ["wave", "clap"],
        ),
        lambda plot, path: plot(
            path, [1.0], {"a": [0.2], "b": [0.7]}, {"actions": [], "events": []}, ["wave"]
        ),
    ],
    "plot_fusion": [
        lambda plot, path: plot(
            path, [{"model": "stgcn", "stream": "joint", "weight": 2.0, "top1": 0.5}] * 2, 0.6
        )
    ],
    "plot_bench": [lambda plot, path: plot(path, bench())],
    "plot_costs": [
        lambda plot, path: plot(
            path, [{"name": "fc", "macs": 1e6, "effective_macs": 1e5, "params": 1e3}] * 2, "cost"
        )
    ],
    "plot_dataset": [
        lambda plot, path: plot(path, {(8, 16): 3, (17, 25): 5}, {"a": 8}, {"hip": 0.1}, "data")
    ],
    "plot_masks": [
        lambda plot, path: plot(path, masks(1)),
        lambda plot, path: plot(path, masks(2)),
    ],
    "plot_over_time": [
        lambda plot, path: plot(path, timelines(1, 1), ["wave", "clap"], "s"),
        lambda plot, path: plot(path, timelines(9, 12), list(map(str, range(12))), "frames"),
    ],
    "plot_clips": [
        lambda plot, path: plot(path, [("walk", [("wave", 0.9), ("clap", 0.1)]), ("empty", [])])
    ],
    "plot_counts": [lambda plot, path: plot(path, ["wave", "nobody", "wave"])],
    "draw_clip": [
        lambda _, path: draw_clip(path, has_score=False),
        lambda _, path: draw_clip(path, has_score=True),
    ],
    "draw_clips": [
        lambda draw, path: draw(path, {"wave": clip()}, BODY, has_score=False, title="classes"),
        lambda draw, path: draw(
            path, {str(i): clip() for i in range(9)}, BODY, has_score=True, title="classes"
        ),
    ],
}


def drawing_functions() -> Iterator[tuple[str, Any]]:
    """Every public function of the package ``plots`` that draws a figure."""
    for module in pkgutil.iter_modules(plots.__path__):
        found = import_module(f"{plots.__name__}.{module.name}")
        for name, value in vars(found).items():
            own = inspect.isfunction(value) and value.__module__ == found.__name__
            if own and name.startswith(("plot", "draw")):
                yield name, value


CASES = [
    pytest.param(value, sample, id=f"{name}-{number}")
    for name, value in drawing_functions()
    for number, sample in enumerate(SAMPLES.get(name, [None]))
]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any, Any], Figure]:
    """Draws a figure once, without writing a file."""
    path = tmp_path_factory.mktemp("figures") / "figure.png"
    made: dict[Any, Figure] = {}

    def draw(function: Any, sample: Any) -> Figure:
        if sample not in made:
            with pytest.MonkeyPatch.context() as patch:
                for module in (saving, clips):
                    patch.setattr(module, "save", lambda figure, _: made.update({sample: figure}))
                sample(function, path)
            with style.figure_style():
                made[sample].draw_without_rendering()
        return made[sample]

    return draw


def test_every_drawing_function_has_a_sample() -> None:
    assert {name for name, _ in drawing_functions()} == set(SAMPLES)


@pytest.mark.parametrize(("function", "sample"), CASES)
def test_a_figure_has_a_title_and_every_axis_a_label(
    figures: Callable[[Any, Any], Figure], function: Any, sample: Any
) -> None:
    figure = figures(function, sample)
    assert figure.get_suptitle()
    for axes in figure.axes:
        if not axes.axison:
            continue
        for axis in (axes.xaxis, axes.yaxis):
            names = [tick for tick in axis.get_ticklabels() if tick.get_text()]
            if names and any(tick.get_visible() for tick in names):
                assert axis.get_label_text(), (axes.get_title(), axis.axis_name)


@pytest.mark.parametrize(("function", "sample"), CASES)
def test_no_text_is_cut_off_and_no_legend_covers_data(
    figures: Callable[[Any, Any], Figure], function: Any, sample: Any
) -> None:
    figure = figures(function, sample)
    renderer = FigureCanvasAgg(figure).get_renderer()
    shown = figure.get_tightbbox(renderer)
    margin = 0.02
    assert -margin <= shown.x0 and shown.x1 <= figure.get_figwidth() + margin
    assert -margin <= shown.y0 and shown.y1 <= figure.get_figheight() + margin
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    for legend in legends:
        if legend is not None:
            box = legend.get_window_extent(renderer)
            assert legend.get_texts()
            for axes in figure.axes:
                assert not _overlap(box, axes.get_window_extent(renderer))


def _overlap(one: Any, other: Any) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > 2 and height > 2)


@pytest.mark.parametrize("sample", SAMPLES["plot_curves"])
def test_epochs_are_whole_numbers(figures: Callable[[Any, Any], Figure], sample: Any) -> None:
    from pyg_stgcn.plots.curves import plot_curves

    for axes in figures(plot_curves, sample).axes:
        ticks = axes.xaxis.get_majorticklocs()
        assert np.array_equal(ticks, np.round(ticks)) and not len(axes.xaxis.get_minorticklocs())


def test_one_seed_has_no_deviation(figures: Callable[[Any, Any], Figure]) -> None:
    from pyg_stgcn.plots.studies import plot_sweep

    single, several = (figures(plot_sweep, sample) for sample in SAMPLES["plot_sweep"])
    assert "deviation" not in single.get_suptitle() and "deviation" in several.get_suptitle()
    # The band of the dense network, and two lines at the ends of each error bar.
    assert not single.axes[0].patches and len(several.axes[0].patches) == 1
    assert (len(single.axes[0].lines), len(several.axes[0].lines)) == (3, 7)


def test_series_differ_in_marker_and_line() -> None:
    styles = [style.line_style(number) for number in range(5)]
    for name in ("color", "marker", "linestyle"):
        assert len({str(one[name]) for one in styles}) == 5
    assert len({style.bar_style(number)["hatch"] for number in range(7)}) == 7
    markers = range(0, 300, style.line_style(0, 300)["markevery"])
    assert len(markers) <= 12


#: Deuteranopia and protanopia in linear RGB, from "A Physiologically-based Model for Simulation of
#: Color Vision Deficiency" (Machado, Oliveira and Fernandes, 2009).
BLINDNESS = {
    "none": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
#: From linear sRGB to XYZ, in units of the white point D65.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_TO_XYZ /= _TO_XYZ.sum(axis=1, keepdims=True)


def seen_as_lab(colors: list[str], kind: str) -> NDArray[np.float64]:
    """CIELAB coordinates of colours as a colour-blind person sees them [N, 3]."""
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = (linear @ BLINDNESS[kind].T).clip(0, 1) @ _TO_XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_are_told_apart(kind: str) -> None:
    """All pairs differ by 15 or more; a difference of 2 can just be seen side by side."""
    lab = seen_as_lab([*style.COLORS, "white"], kind)
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 15
    sides = seen_as_lab([*clips.SIDE_COLORS.values()], kind)
    assert min(abs(a[0] - b[0]) for a, b in combinations(sides, 2)) > 8


@pytest.mark.parametrize(("function", "sample"), CASES)
def test_colours_are_from_the_palette(
    figures: Callable[[Any, Any], Figure], function: Any, sample: Any
) -> None:
    palette = {to_rgb(color) for color in style.COLORS}
    with style.figure_style():  # Where "C0" is the first colour of the palette.
        for axes in figures(function, sample).axes:
            colors = [to_rgb(line.get_color()) for line in axes.lines]
            colors += [to_rgb(patch.get_facecolor()) for patch in axes.patches]
            assert all(color in palette or max(color) == min(color) for color in colors)


def test_the_settings_of_a_session_neither_change_nor_matter(tmp_path: Path) -> None:
    from pyg_stgcn.plots.results import plot_fusion

    path, seen = tmp_path / "figure.svg", []
    for own in ({}, {"axes.facecolor": "black", "font.size": 30, "lines.linewidth": 9}):
        with mpl.rc_context({**own, "svg.hashsalt": "same"}):
            before = dict(mpl.rcParams)
            SAMPLES["plot_fusion"][0](plot_fusion, path)
            assert dict(mpl.rcParams) == before
            content = path.read_text(encoding="utf-8")
        seen.append([line for line in content.splitlines() if "<dc:date>" not in line])
    assert "black" not in "".join(seen[1]) and "30px" not in "".join(seen[1])
    assert [line for line in seen[0] if "<text" in line] == [
        line for line in seen[1] if "<text" in line
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.pgn", "did you mean '.png'"),
        ("a.jpg", "did you mean '.png'"),
        ("a.txt", "did you mean a.png"),
        ("a", "did you mean a.png"),
        ("nowhere/a.png", "there is no folder"),
        ("folder.png", "is a folder"),
    ],
)
def test_files_that_cannot_be_figures(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=hint):
        check_figure(tmp_path / name)


def test_upper_case_endings_are_formats() -> None:
    for ending in FORMATS:
        check_figure(Path(f"a{ending.upper()}"))
    check_figure(Path("clip.GIF"), CLIP_FORMATS)


def test_several_files_of_one_figure(tmp_path: Path) -> None:
    from pyg_stgcn.plots.results import plot_fusion

    paths = [tmp_path / f"figure{ending}" for ending in FORMATS]
    run = {"model": "stgcn", "stream": "joint", "weight": 2.0, "top1": 0.5}
    plot_fusion((*paths, None), [run] * 2, 0.6)
    starts = [path.read_bytes()[:4] for path in paths]
    assert starts == [b"%PDF", b"<?xm", b"\x89PNG"]
    plot_fusion(str(tmp_path / "text.png"), [run] * 2, 0.6)
    assert (tmp_path / "text.png").exists()
    with pytest.raises(InputError, match="did you mean"):
        plot_fusion((tmp_path / "other.png", tmp_path / "other.eps"), [run] * 2, 0.6)
    assert not (tmp_path / "other.png").exists()
