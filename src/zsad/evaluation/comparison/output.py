"""Where an answer of `zsad compare` goes: Markdown to stdout, JSON and a diagram to files."""

from dataclasses import asdict
from pathlib import Path

from zsad.common.errors import UserError
from zsad.common.io import write_json, write_text
from zsad.evaluation.comparison.compare import HEADLINE
from zsad.evaluation.comparison.diagram import diagram
from zsad.evaluation.comparison.many import ManyCompared
from zsad.evaluation.comparison.markdown import markdown
from zsad.evaluation.comparison.ranks import RankTest
from zsad.evaluation.comparison.two import TwoCompared


def tell(result: TwoCompared | ManyCompared, json: Path | None = None, svg: Path | None = None) -> None:
    """Print it; write JSON and the critical-difference diagram where asked for."""
    print(markdown(result))
    if json:
        write_json(json, asdict(result))
    if svg:
        write_text(svg, diagram(_ranked(result)))


def _ranked(result: TwoCompared | ManyCompared) -> RankTest:
    if isinstance(result, TwoCompared) or not result.ranks:
        raise UserError("compare: --diagram: ranks need three configurations and two datasets that all of them have")
    return result.ranks.get(HEADLINE) or next(iter(result.ranks.values()))
