"""`zsad score`, `aggregate`, `report`, `compare`, `gate`: metrics, tables, a page, who is better, what got worse."""

import argparse
from pathlib import Path

from zsad.cli.parsing import Commands, add_command, stage_params


def add_commands(commands: Commands) -> None:
    """The commands of evaluation."""
    add_command(commands, "score", _score, "predictions + masks → metrics/cells/KEY/DATASET.json", "key", "dataset")
    add_command(commands, "aggregate", _aggregate, "cells → leaderboard and summary")
    better = add_command(commands, "compare", _compare, "is one configuration better than another, and how sure")
    better.add_argument("keys", nargs="*", metavar="KEY", help="two configurations, or several by rank (all)")
    better.add_argument("--dataset", metavar="D", help="of two: on this dataset alone (all that both have)")
    better.add_argument("--metric", action="append", default=[], metavar="M", help="may stand several times (all)")
    better.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    better.add_argument(
        "--diagram", type=Path, metavar="FILE", help="critical-difference diagram as SVG, of one metric"
    )
    report = add_command(commands, "report", _report, "everything on one self-contained HTML page")
    report.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)")
    gate = add_command(
        commands, "gate", _gate, "compare metrics with a git revision: passed 0, regressed 1, cannot compare 2"
    )
    gate.add_argument("--against", default="origin/main", metavar="REV", help="git revision (%(default)s)")
    gate.add_argument("--json", type=Path, metavar="FILE", help="also write the verdict as JSON")
    gate.add_argument("--junit", type=Path, metavar="FILE", help="also write it as JUnit XML")
    gate.add_argument(
        "--explain",
        type=Path,
        nargs="?",
        const=Path("gate_explained"),
        metavar="DIR",
        help="tell which categories, defect types and pictures lost most; pictures go to DIR (%(const)s)",
    )
    gate.add_argument(
        "--fresh",
        action="store_true",
        help="instead: do the metrics follow from code, params.yaml and dvc.lock? 0 or 1",
    )


def _score(arguments: argparse.Namespace) -> None:
    params = stage_params()
    from zsad.evaluation.score import score_cell

    score_cell(params, arguments.key, arguments.dataset)


def _aggregate(_: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.evaluation.aggregate import aggregate

    aggregate(load_params())


def _compare(arguments: argparse.Namespace) -> None:
    params = stage_params()
    from zsad.evaluation.comparison.compare import compare
    from zsad.evaluation.comparison.output import tell

    tell(compare(params, arguments.keys, arguments.dataset, arguments.metric), arguments.json, arguments.diagram)


def _report(arguments: argparse.Namespace) -> None:
    params = stage_params()
    from zsad.evaluation.report.page import Measured, write_report
    from zsad.pipeline.cost.measured import prediction_cost, training_cost
    from zsad.tracking.journal import lineage

    write_report(params, arguments.out, Measured(training_cost(params), prediction_cost(params), lineage()))
    from zsad.tracking.store import there_is_a_store

    if there_is_a_store():
        from zsad.tracking.comparison import attach_report  # MLflow is loaded only where it has something

        attach_report(params, arguments.out)


def _gate(arguments: argparse.Namespace) -> int:
    from zsad.common.io import write_json, write_text
    from zsad.config.params import load_params
    from zsad.evaluation.gate import gate

    if arguments.fresh:
        return _fresh()
    verdict = gate(load_params(), arguments.against)
    print(verdict.markdown)
    if arguments.json:
        write_json(arguments.json, verdict.as_dict())
    if arguments.junit:
        write_text(arguments.junit, verdict.junit)
    if arguments.explain:
        from zsad.evaluation.explain import explain

        print(explain(verdict, arguments.explain))
    return int(verdict.exit_code)


def _fresh() -> int:
    from zsad.pipeline.grid.freshness import freshness

    found = freshness()
    print(found.markdown)
    return found.exit_code
