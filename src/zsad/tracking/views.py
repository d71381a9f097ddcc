"""Views of the comparison as MLflow's own pages save them, in tags of the experiment: columns, order, filter, charts.

MLflow has no default view: it shows columns without metrics until a view is opened, from the menu "Views" or by its
address. The format is that of its web pages (3.17), which no documentation describes; other versions may ignore it.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zsad.tracking.standings import LED, Standing

PREFIX = "mlflow.sharedViewState."
CURRENT = "tags.`current` = 'yes' and tags.`zsad.kind` = 'configuration'"
SHOWN_TAGS = ("track", "protocol", "method")
WIDTH = 190  # pixels, of a column


def view_tags(standings: Sequence[Standing], created: int) -> dict[str, str]:
    """{tag of the experiment: content}: the leaderboard, then a view a domain, newest first in the menu."""
    domains = sorted({domain for standing in standings for domain in standing.domains})
    groups = ["all", *(f"domain/{domain}" for domain in domains)]
    return {
        f"{PREFIX}{view_of(group)}": json.dumps(_envelope(group, domains, created - number), sort_keys=True)
        for number, group in enumerate(groups)
    }


def view_of(group: str) -> str:
    """Key of the view that is sorted by a group of metrics: `all`, `domain/<domain>`."""
    return "leaderboard" if group == "all" else group.replace("/", "_")


def address(experiment: str, view: str, charts: bool = False) -> str:
    """Of a view in MLflow's web pages, after the server's own."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={view}{mode}"


def run_address(experiment: str, run_id: str) -> str:
    """Of a run in MLflow's web pages, after the server's own."""
    return f"#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"


def _envelope(group: str, domains: Sequence[str], created: int) -> Mapping[str, Any]:
    name = "Leaderboard" if group == "all" else group.replace("/", " ").capitalize()
    state = zlib.compress(json.dumps(_state(group, domains)).encode())  # a tag of an experiment holds 20,000 characters
    packed = f"deflate;{base64.b64encode(state).decode()}"
    return {"name": name, "createdAt": created, "updatedAt": created, "state": packed}


def _state(group: str, domains: Sequence[str]) -> Mapping[str, Any]:
    """Current configurations, the best first by the group's image AUROC."""
    groups = ["all", *(f"domain/{domain}" for domain in domains)]
    ordered = [group, *(other for other in groups if other != group)]
    sections = [
        {"uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False} for name in ordered
    ]
    columns = [*_metric_columns(ordered), *(_column("tags", name) for name in SHOWN_TAGS)]
    return {
        "searchFilter": CURRENT,
        "orderByKey": _column("metrics", f"{group}/image_auroc"),
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(columns, WIDTH),
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "compareRunSections": sections,
        "compareRunCharts": [_bars(name, metric) for name in ordered for metric in LED],
    }


def _metric_columns(groups: Iterable[str]) -> list[str]:
    return [_column("metrics", f"{group}/{metric}") for group in groups for metric in LED]


def _bars(group: str, metric: str) -> Mapping[str, Any]:
    return {
        "type": "BAR",
        "uuid": f"{group}/{metric}",
        "metricSectionId": group,
        "metricKey": f"{group}/{metric}",
        "displayName": metric,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"
