"""The critical-difference diagram (Demšar 2006, figure 1) of one metric, as SVG."""

import io
from typing import TYPE_CHECKING

from zsad.evaluation.comparison.ranks import ALPHA, RankTest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW, TOP = 8.0, 0.3, 1.1  # inches
COLOUR = "#2f6db3"
INK = "currentColor"  # black alone, the text's colour within a page


def diagram(test: RankTest) -> str:
    """Mean ranks on a line, best on the left; a bar joins what is not told apart. Text stays text; no date inside."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sides = (len(test.mean_ranks) + 1) // 2
    height = TOP + ROW * (sides + len(test.groups) * 0.5)
    with rc_context({"svg.hashsalt": test.metric, "svg.fonttype": "none"}):
        figure = Figure((WIDTH, height))
        _draw(figure.add_axes((0.24, 0.02, 0.52, 0.9)), test)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Title": test.metric})
    return file.getvalue().replace("#000000", INK).replace("<text ", f'<text fill="{INK}" ')


def _draw(axes: "Axes", test: RankTest) -> None:
    """In units of ranks across and of rows downwards from the axis at 0."""
    count = len(test.mean_ranks)
    bars = len(test.groups) * 0.5
    axes.set(xlim=(1, count), ylim=((count + 1) // 2 + bars + 0.6, -2.2))
    axes.axis("off")
    axes.plot([1, count], [0, 0], color="black", lw=1, clip_on=False)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, -0.2], color="black", lw=1, clip_on=False)
        axes.text(rank, -0.35, str(rank), ha="center", va="bottom", fontsize=9)
    _critical_difference(axes, test)
    for row, group in enumerate(test.groups):
        ends = [test.mean_ranks[group[0]] - 0.04, test.mean_ranks[group[-1]] + 0.04]
        axes.plot(ends, [0.3 + row * 0.5] * 2, color=COLOUR, lw=4, solid_capstyle="round", clip_on=False)
    _names(axes, test, bars)


def _critical_difference(axes: "Axes", test: RankTest) -> None:
    end = min(1 + test.critical_difference, len(test.mean_ranks))  # no two ranks are further apart
    axes.plot([1, end], [-1.5, -1.5], color=COLOUR, lw=2, clip_on=False)
    text = f"critical difference {test.critical_difference:.2f} (Nemenyi, {ALPHA}, {len(test.datasets)} datasets)"
    axes.text(1, -1.7, text, ha="left", va="bottom", fontsize=9)


def _names(axes: "Axes", test: RankTest, bars: float) -> None:
    """The better half on the left, the best on top; the others on the right, the worst on top."""
    ranked = list(test.mean_ranks.items())
    half = (len(ranked) + 1) // 2
    for column, align, edge in ((ranked[:half], "right", 1.0), (ranked[half:][::-1], "left", float(len(ranked)))):
        for row, (name, rank) in enumerate(column):
            y = row + bars + 0.6
            axes.plot([rank, rank, edge], [0, y, y], color="black", lw=0.8, clip_on=False)
            axes.text(edge, y, f" {name}  {rank:.2f} ", ha=align, va="center", fontsize=9)
