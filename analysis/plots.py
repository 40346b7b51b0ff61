"""The report's plots, each as an inline SVG. Pure: takes results, touches no file and no database."""

from __future__ import annotations

import io
import statistics
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from analysis.results import Results, Study

__all__ = ["COLOURS", "over_scales", "over_shards", "writes"]

COLOURS: Final = {
    "colocated": "#1b9e77",
    "repartition": "#d95f02",
    "single_hash": "#7570b3",
    "reference": "#66a61e",
    "one_node": "#666666",
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "citus-pulumi",
    "font.size": 11,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def over_shards(results: Results) -> str:
    """Return the time of each way over the number of shards; empty where fewer than two numbers were tried."""
    return _curves(results.over_shards(), lambda study: study.shard_count, "shards of each table")


def over_scales(results: Results) -> str:
    """Return the time of each way over the number of sales; empty where fewer than two numbers were tried."""
    return _curves(results.over_scales(), lambda study: study.sales, "sales")


def _curves(studies: Sequence[Study], of: Callable[[Study], int], label: str) -> str:
    if len(studies) < 2:  # noqa: PLR2004
        return ""

    def draw(axes: Axes) -> None:
        across = [of(study) for study in studies]
        for key, colour in COLOURS.items():
            found = [study.scenario(key) for study in studies]
            seen = [(x, it) for x, it in zip(across, found, strict=True) if it]
            if seen:
                xs, times = [x for x, _ in seen], [it.median for _, it in seen]
                axes.plot(xs, times, marker="o", color=colour, label=seen[0][1].title)
                shortest, longest = ([it.spread[end] for _, it in seen] for end in (0, 1))
                axes.fill_between(xs, shortest, longest, color=colour, alpha=0.15)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="milliseconds")
        axes.set_xticks(across, [f"{x:,}" for x in across])
        axes.minorticks_off()

    return _svg(draw)


def writes(results: Results) -> str:
    """Return sales written a second over the number of clients; empty where that was not measured."""
    if not results.writes:
        return ""

    def draw(axes: Axes) -> None:
        clients = [it.clients for it in results.writes]
        ways = {
            "one node": ("#666666", [it.one_node for it in results.writes]),
            "cluster": ("#1b9e77", [it.cluster for it in results.writes]),
        }
        for label, (colour, rates) in ways.items():
            axes.plot(clients, [statistics.median(rate) for rate in rates], marker="o", color=colour, label=label)
            axes.fill_between(clients, [min(it) for it in rates], [max(it) for it in rates], color=colour, alpha=0.15)
        axes.set(xscale="log", xlabel="clients at once", ylabel="sales written a second", ylim=(0, None))
        axes.set_xticks(clients, [str(it) for it in clients])
        axes.minorticks_off()

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        draw(figure.subplots())
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=False)
    text = out.getvalue()
    return text[text.index("<svg") :]
