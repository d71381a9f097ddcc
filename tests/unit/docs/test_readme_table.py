"""The README's demo table is what metrics/leaderboard.csv says."""

import io

import pandas as pd

from tests.conftest import shipped
from zsad.evaluation.results import shown_name

COLUMNS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "pixel_ap": "pixel AP", "pixel_aupro": "AUPRO"}


def demo_table() -> str:
    """Means over the target sets, in the order of params.yaml."""
    board = pd.read_csv(io.StringIO(shipped("metrics/leaderboard.csv")))
    targets = board[board["dataset"] != "demo_source"]
    lines = [
        f"| learner | shots | protocol | {' | '.join(COLUMNS.values())} |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]
    groups = targets.groupby(["learner", "method", "shots", "protocol"], sort=False)
    for (key, method, shots, protocol), rows in groups:
        numbers = " | ".join(f"{rows[name].mean():.3f}" for name in COLUMNS)
        lines.append(f"| {shown_name(key, method)} | {shots} | {protocol} | {numbers} |")
    return "\n".join(lines)


def test_the_table_is_up_to_date() -> None:
    readme = shipped("README.md")
    shown = readme.split("<!-- demo table -->")[1].split("<!-- end of demo table -->")[0].strip()
    assert shown == demo_table()
