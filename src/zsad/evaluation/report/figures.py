"""matplotlib figures as SVG inside the page: small, without fonts, in colours that follow the page's theme.

A figure is drawn in placeholder colours; each becomes a CSS variable of the page, so one SVG serves light and dark.
"""

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}href"
INK, FAINT, NORMAL, ANOMALOUS = "#000001", "#000002", "#000003", "#000004"
VARIABLES = {INK: "--ink", FAINT: "--line", NORMAL: "--normal", ANOMALOUS: "--anomalous"}
SERIES = 10  # colours of learners; from the eleventh on they come again, dashed otherwise
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)))
STYLE: dict[Any, Any] = {  # matplotlib's stubs want literal names
    "svg.fonttype": "none",
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "path.simplify_threshold": 0.3,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2,
    "ytick.major.size": 0,
}


def colour(series: int) -> str:
    """Placeholder of the n-th learner's colour."""
    return f"#0001{series % SERIES:02x}"


def dash(series: int) -> object:
    """Line style of the n-th learner."""
    return DASHES[series // SERIES % len(DASHES)]


class Drawing:
    """Axes to draw on while the block is open, the SVG afterwards."""

    def __init__(self, axes: "Axes") -> None:
        self.axes = axes
        self.svg = Markup()


@contextmanager
def drawing(label: str, width: float, height: float) -> Iterator[Drawing]:
    """A figure of this size in inches; `label` says in words what it shows, for those who cannot see it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(width, height), layout="constrained")
        result = Drawing(figure.add_subplot())
        yield result
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    result.svg = inline(buffer.getvalue(), label)


def inline(svg: str, label: str) -> Markup:
    """A matplotlib SVG for use in HTML: no metadata, no sizes, no style of its own, only ids that something uses."""
    root = ET.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("metadata", "style")):
                parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", svg))
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        if XLINK in element.attrib:
            element.set("href", element.attrib.pop(XLINK))
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        element.tail = None
        _restyle(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label}
    return Markup(ET.tostring(root, encoding="unicode"))


def _restyle(element: ET.Element) -> None:
    if "d" in element.attrib:
        element.set("d", re.sub(r"(\.\d\d)\d+", r"\1", " ".join(element.attrib["d"].split())))
    if "style" in element.attrib:
        style = re.sub(r"font: ([\d.]+)px [^;]*", r"font-size: \1px", element.attrib["style"])
        element.set("style", re.sub(r"#00000[1-4]|#00010\d", _variable, style).strip())


def _variable(found: re.Match[str]) -> str:
    name = VARIABLES.get(found[0]) or f"--s{int(found[0][-2:], 16)}"
    return f"var({name})"
