"""Descriptions for people, in Markdown: of a registered version, a model, a run, the experiments.

A card says what the numbers of its version allow and no more; everything in it follows from files.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zsad.config.params import Params
from zsad.evaluation.results import Cell, shown_name
from zsad.tracking.candidates import Candidate
from zsad.tracking.history import measured, target_means
from zsad.tracking.standings import LED, Standing, leaders

if TYPE_CHECKING:
    from zsad.inference.calibration import Calibration

CHANCE = 0.5
NO_THRESHOLD = "Scores order pictures; there is no threshold that says what is good."
THRESHOLDS = "A threshold holds for pictures such as those that it was calibrated on."
Metrics = Mapping[tuple[str, str], float]  # {(metric, dataset): value}


def version_card(params: Params, candidate: Candidate, changes: str = "") -> str:
    """Description of a version: data, protocol, metrics with intervals, limits, how to load it."""
    parts = [
        changes,
        _what(candidate),
        "**Metrics**",
        _metrics(candidate.cells),
        "**Limits**",
        _limits(params, candidate),
    ]
    return "\n\n".join([*filter(None, parts), "**Load it**", _loading(candidate)])


def with_calibrations(card: str, calibrations: Iterable["Calibration"]) -> str:
    """A version's card with a table of its thresholds before the limits, in place of one that is there."""
    rows = [
        [f"`{one.name}`", f"{one.threshold:.4f}", f"{one.false_alarms:g}", str(one.n), f"[{low:.3f}, {high:.3f}]"]
        for one in calibrations
        for low, high in [one.interval()]
    ]
    head, limits, rest = card.partition("**Limits**")
    told = head.partition("**Calibrations**")[0]
    if not rows or not limits:
        return card
    columns = ["calibration", "anomalous above", "false alarms wanted", "normal pictures", "false alarms to expect"]
    note = "To expect: the 95 % interval of the share of normal pictures above the threshold."
    section = f"**Calibrations**\n\n{table_of(columns, rows)}\n\n{note}\n\n"
    return told + section + limits + rest.replace(NO_THRESHOLD, THRESHOLDS)


def model_card(candidate: Candidate) -> str:
    """Description of a registered model, of which there are versions."""
    start = candidate.training.start
    what = shown_name(candidate.name, start["method"])
    if start.get("shots"):
        origin = (
            f"`{start['learner']}` adapted to `{start['source']}` from {start['shots']} normal pictures a category."
        )
    else:
        origin = f"Method `{start['method']}`, zero-shot: trained on an auxiliary set, for pictures of anything else."
    aliases = "`champion` is the version to rely on, `challenger` the latest one; `zsad promote` moves the first."
    return f"**{what}**. {origin} {aliases}"


def changes(number: str, before: Metrics, after: Metrics, settings: Mapping[str, tuple[str, str]]) -> str:
    """What a challenger has other than the champion, version `number`: settings, and metrics by dataset.

    The metrics are the means over seeds, without a test: whether a difference is one, `zsad gate` says.
    """
    common = [pair for pair in after if pair in before and pair[0] in LED]
    rows = [
        [dataset, metric, f"{before[metric, dataset]:.3f}", f"{after[metric, dataset]:.3f}", _signed(difference)]
        for metric, dataset in sorted(common, key=lambda pair: (pair[1], LED.index(pair[0])))
        if round(difference := after[metric, dataset] - before[metric, dataset], 3)
    ]
    told = [f"- `{name}`: {old or '–'} → {new or '–'}" for name, (old, new) in settings.items()]
    table = (
        table_of(["dataset", "metric", "champion", "this", "change"], rows) if rows else "No metric differs by 0.001."
    )
    head = f"**Since the champion, version {number}**"
    return "\n\n".join([head, "\n".join(told) or "The same settings; other weights.", table])


def run_note(standing: Standing, links: Mapping[str, str]) -> str:
    """Description of a configuration's run. links: {train or adapt cell: address of its run}."""
    one = standing.row
    trained = ", ".join(f"[{cell}]({link})" for cell, link in links.items())
    lines = [
        f"**{standing.shown}**: method `{one.method}`, {standing.track}, protocol `{one.protocol}`.",
        f"Means `all/…` and `domain/…` over {_listed(standing.shared)}, where every configuration was scored.",
        *([f"Losses by epoch: {trained}."] if trained else []),
        "Tables by dataset, category and defect type, and sheets of best and worst pictures, are its artifacts.",
    ]
    return "\n\n".join(lines)


def results_note(params: Params, standings: Sequence[Standing]) -> str:
    """Which configuration is best, overall and in each domain, by each metric and track."""
    best = leaders(standings)
    names = dict.fromkeys(name for name, _ in best)
    tracks = list(dict.fromkeys(track for _, track in best))
    groups = dict.fromkeys(name.rpartition("/")[0] for name in names)
    rows = [
        [
            _group(group),
            track,
            *(_winner(best.get((f"{group}/{metric}", track)), f"{group}/{metric}") for metric in LED),
        ]
        for group in groups
        for track in tracks
    ]
    shared = standings[0].shared if standings else frozenset()
    parts = [
        table_of(["over", "track", *LED], rows),
        f"The highest means of protocol `strict` over {_listed(shared)}. Where two are close, it may be chance.",
        demo_note(params, shared),
    ]
    return "\n\n".join(filter(None, parts))


def headline(standings: Sequence[Standing], links: Mapping[str, str]) -> str:
    """The best of the first track by image AUROC, overall and in each domain, on one line. links: {group: address}."""
    told = [
        f"[{_group(group)}]({links[group]}) {_winner(order, name)}"
        for (name, track), order in leaders(standings).items()
        for group in [name.removesuffix(f"/{LED[0]}")]
        if group != name and track == standings[0].track
    ]
    return f"**Best {standings[0].track} by image AUROC**: {' · '.join(told)}"


def demo_note(params: Params, datasets: Iterable[str]) -> str:
    """That numbers on drawn pictures are no statement about products; empty without any."""
    drawn = [name for name in datasets if name in params.datasets and params.datasets[name].kind == "demo"]
    return "Demo data, procedurally drawn: not comparable with published numbers." if drawn else ""


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _what(candidate: Candidate) -> str:
    start, tags = candidate.training.start, candidate.tags
    data, backbone = start["dataset"], start["params"].get("backbone", {})
    count = f", {data['n_images']} pictures" if data.get("n_images") else ""
    name = shown_name(candidate.name, start["method"])
    seeds = ", ".join(map(str, start["params"]["seeds"]))
    use = "adapted to normal pictures of it" if start.get("shots") else "trained on its test split"
    weights = f"seed {tags['seed']}; metrics are means over seeds {seeds}"
    if official := start["params"].get("imported"):
        use = "which they were trained on, by the word of whoever imported them"
        weights = f"official, imported from the file with sha256 `{official}`"
    return "\n".join(
        [
            f"**{name}**: method `{start['method']}`, protocol `{start['protocol']}`.",
            f"- Weights: {weights}.",
            f"- Data: `{data['name']}`{count}, {use}; content `{data['hash'][:12]}`.",
            f"- Frozen CLIP: `{backbone.get('name', '–')}` at {backbone.get('image_size', '–')} px.",
            f"- Settings: `{tags['config_hash'][:12]}`, all of them at the run.",
        ]
    )


def _metrics(cells: list[Cell]) -> str:
    if not cells:
        return "None are known on this machine."
    rows = [
        [cell["dataset"], cell["domain"] or "–", *(_with_interval(cell, metric) for metric in LED)] for cell in cells
    ]
    if len(cells) > 1:
        means = target_means(cells)
        rows.append(["**mean**", "", *(_number(means.get(metric)) for metric in LED)])
    note = "In brackets the 95 % interval over other pictures of the same kind."
    return table_of(["dataset", "domain", *LED], rows) + f"\n\n{note}"


def _with_interval(cell: Cell, metric: str) -> str:
    low_high = cell["interval"].get(metric)
    number = _number(cell["mean"].get(metric))
    return f"{number} [{low_high[0]:.3f}, {low_high[1]:.3f}]" if low_high else number


def _limits(params: Params, candidate: Candidate) -> str:
    unsure = [c["dataset"] for c in candidate.cells if c["interval"].get("image_auroc", [CHANCE])[0] < CHANCE]
    undefined = {c["dataset"] for c in candidate.cells if len(measured(c)) < len(c["mean"])}
    start = candidate.training.start
    scope = f"For `{start['source']}` alone." if start.get("shots") else "Nothing was chosen on a target."
    lines = [
        f"{scope} {NO_THRESHOLD}",
        *([f"May be no better than chance at telling pictures apart: {_listed(unsure)}."] if unsure else []),
        *([f"Some metrics have no meaning on {_listed(undefined)}."] if undefined else []),
        demo_note(params, [cell["dataset"] for cell in candidate.cells]),
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _loading(candidate: Candidate) -> str:
    shots = candidate.training.start.get("shots")
    category = ', category="NAME"' if shots else ""
    return (
        f'```python\nmodel = zsad.load("models:/{candidate.name}@champion")\n'
        f'result = model.predict("photo.png"{category})\n```'
    )


def _winner(order: Sequence[Standing] | None, name: str) -> str:
    return f"{order[0].shown} {order[0].metrics[name]:.3f}" if order else "–"


def _group(group: str) -> str:
    return "all targets" if group == "all" else group.removeprefix("domain/")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "no dataset"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
