"""The summary in words. Every sentence follows from a ranking; nothing is known here that the numbers do not say."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from zsad.evaluation.metrics.names import HEADLINES
from zsad.evaluation.report.differences import PAIRED, Difference, Ranking
from zsad.evaluation.report.material import Material, Track

TITLES = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "pixel_aupro": "AUPRO",
}
Rank = Callable[[Track, str, Sequence[str]], Ranking | None]


class Finding(NamedTuple):
    """Where something holds, and what, in sentences."""

    where: str
    sentences: list[str]


def summary(material: Material, rank: Rank) -> list[tuple[str, list[Finding]]]:
    """[(name of the track, what is found in it)]: overall first, then by domain."""
    found = []
    for track in material.tracks:
        strict = track.strict
        findings = [_overall(strict, rank), _leaders(strict, rank), *_by_domain(strict, rank), _left_aside(track)]
        found.append((track.name, [finding for finding in findings if finding.sentences]))
    return found


def _overall(track: Track, rank: Rank) -> Finding:
    """Means over datasets of several domains."""
    rankings = [rank(track, metric, track.datasets) for metric in HEADLINES]
    counts = dict.fromkeys(len(one.datasets) for one in rankings if one)
    sentences = [sentence(one) for one in rankings if one and len(domains(track)) > 1 and len(one.datasets) > 1]
    return Finding(f"mean of {listed([str(n) for n in counts])} shared datasets", sentences)


def _leaders(track: Track, rank: Rank) -> Finding:
    """Whether one configuration leads in every domain."""
    sentences = []
    for metric in HEADLINES:
        found = [one for names in domains(track).values() if (one := rank(track, metric, names))]
        best = list(dict.fromkeys(one.best for one in found))
        if len(found) > 1 and len(best) == 1:
            sentences.append(f"{best[0]} leads in {TITLES[metric]} in each of the {len(found)} domains.")
        elif len(found) > 1:
            sentences.append(f"The lead in {TITLES[metric]} changes with the domain: {listed(best)}.")
    return Finding("across domains", sentences)


def _by_domain(track: Track, rank: Rank) -> list[Finding]:
    found = []
    for domain, names in domains(track).items():
        rankings = [rank(track, metric, names) for metric in HEADLINES]
        found.append(Finding(domain, [sentence(one) for one in rankings if one] or [_alone(track, names)]))
    return found


def _alone(track: Track, datasets: Sequence[str]) -> str:
    scored = list(dict.fromkeys(cell["learner"] for name in datasets for cell in track.on(name)))
    if len(scored) == 1:
        return f"Only {scored[0]} was scored on {listed(datasets)}, so there is nothing to compare."
    return f"No headline metric has a value for every learner on {listed(datasets)}, so nothing is compared."


def _left_aside(track: Track) -> Finding:
    paper = [learner for learner in track.learners if learner not in track.strict.learners]
    told = f"{listed(paper)}: may choose from the target, so it is left out here and stands in the tables alone."
    return Finding("protocol paper", [told] if paper else [])


def sentence(one: Ranking) -> str:
    """Who is best, by how much, and from whom it can and cannot be told apart."""
    title, second = TITLES[one.metric], one.ahead[0]
    head = f"{one.best} has the highest {title}, {one.means[one.best]:.3f}"
    if second.low is None:
        return f"{head}, ahead of {second.other} by {second.value:.3f}; how sure that is, nothing here tells."
    sure = [difference.other for difference in one.ahead if difference.is_sure]
    if not one.unsure:
        return f"{head}, and is better than every other: ahead of {_margin(second)}{_basis(one)}."
    apart = f"; it is better than {listed(sure)}" if sure else ""
    unsure = f"{listed(one.unsure)} cannot be told apart from it (ahead of {_margin(second)})"
    return f"{head}, but {unsure}{apart}{_basis(one)}."


def _margin(difference: Difference) -> str:
    interval = f"[{difference.low:.3f}, {difference.high:.3f}]".replace("-", "−")
    return f"{difference.other} by {difference.value:.3f} {interval}"


def _basis(one: Ranking) -> str:
    """What the intervals cover, where that is not the usual."""
    others = list(dict.fromkeys(difference.by for difference in one.ahead if difference.by != PAIRED))
    return f" (intervals by {listed(others)})" if others else ""


def domains(track: Track) -> dict[str, list[str]]:
    """{domain: its datasets}."""
    found: dict[str, list[str]] = {}
    for cell in track.scored:
        if cell["dataset"] not in found.setdefault(cell["domain"], []):
            found[cell["domain"]].append(cell["dataset"])
    return found


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
