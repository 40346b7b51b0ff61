"""The report's plots, each as an inline SVG. Pure: takes results, touches no file and no database."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from analysis.results import Results, Study

__all__ = ["COLOURS", "over_hosts", "over_scales", "over_shards", "writes"]

COLOURS: Final = {
    "colocated": "#1b9e77",
    "repartition": "#d95f02",
    "single_hash": "#7570b3",
    "reference": "#66a61e",
    "one_node": "#666666",
}
_ENTRIES: Final = ("#666666", "#d95f02", "#1b9e77", "#a6a6a6", "#e7298a", "#7570b3")
"""Colours of the servers that are written to, in the order of the results."""
_ASKED: Final = ("-", "--")
"""Lines of what they are asked, statement by statement or in one call."""
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


def over_hosts(results: Results) -> str:
    """Return the time of each way over the distance between hosts; empty where that was not measured."""
    measured = results.over_hosts
    if not measured:
        return ""

    def draw(axes: Axes) -> None:
        for way, colour in zip(dict.fromkeys(it.way for it in measured.asked), COLOURS.values(), strict=False):
            found = measured.find(way)
            across = [it.round_trip for it in found]
            axes.plot(across, [it.median for it in found], marker="o", color=colour, label=way)
            shortest, longest = ([end(it.times) for it in found] for end in (min, max))
            axes.fill_between(across, shortest, longest, color=colour, alpha=0.15)
        axes.set(xlabel="milliseconds from one host to another and back", ylabel="milliseconds", yscale="log")

    return _svg(draw)


def writes(results: Results) -> str:
    """Return sales written a second over the number of clients, in each way; empty where that was not measured."""
    if not results.writes:
        return ""

    def draw(axes: Axes) -> None:
        entries = list(dict.fromkeys(it.entry for it in results.writes))
        asked = list(dict.fromkeys(it.asked for it in results.writes))
        for way in dict.fromkeys(it.way for it in results.writes):
            found = [it for it in results.writes if it.way == way and it.rates]
            if not found:
                continue
            colour = _ENTRIES[entries.index(found[0].entry) % len(_ENTRIES)]
            style = _ASKED[asked.index(found[0].asked) % len(_ASKED)]
            clients = [it.clients for it in found]
            axes.plot(clients, [it.rate for it in found], style, marker="o", color=colour, label=found[0].title)
            lowest, highest = ([end(it.rates) for it in found] for end in (min, max))
            axes.fill_between(clients, lowest, highest, color=colour, alpha=0.15)
        across = sorted({it.clients for it in results.writes})
        axes.set(xscale="log", xlabel="clients at once", ylabel="sales written a second", ylim=(0, None))
        axes.set_xticks(across, [str(it) for it in across])
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
