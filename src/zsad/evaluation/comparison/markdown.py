"""The answers of `zsad compare` as Markdown: a sentence that follows from the numbers, then the numbers."""

from collections.abc import Sequence
from typing import Any

from zsad.evaluation.comparison.delong import DeLong
from zsad.evaluation.comparison.many import ManyCompared, PairDifference
from zsad.evaluation.comparison.paired import Difference
from zsad.evaluation.comparison.ranks import ALPHA, RankTest
from zsad.evaluation.comparison.two import TwoCompared

PAIRS_SHOWN = 10
NOTE_TWO = (
    "pictures: paired bootstrap, the same pictures drawn for both, anomalous and normal ones apart in each category;"
    " seeds: what other seeds add to the standard error; p: two-sided, pictures and seeds together where the seeds'"
    " spread is known; Holm: that p, all metrics considered."
)


def markdown(result: TwoCompared | ManyCompared) -> str:
    """The whole page."""
    parts = _two(result) if isinstance(result, TwoCompared) else _many(result)
    return "\n\n".join([*parts, *_list("Read with care", result.remarks), *_list("Left out", result.left_out)]) + "\n"


def _two(result: TwoCompared) -> list[str]:
    datasets, names = ", ".join(result.datasets), (result.a, result.b)
    parts = [
        f"## {result.a} against {result.b}",
        _verdict(result),
        f"Means over {datasets}.",
    ]
    parts.append(_table([_difference(d, names, result.adjusted[d.metric]) for d in result.differences]))
    parts.append(NOTE_TWO)
    if unknown := [d.metric for d in result.differences if d.both is None]:
        one_seed = "one seed, so what another training would change is unknown and p is that of pictures alone"
        parts.append(f"{', '.join(unknown)}: {one_seed}.")
    if len(result.datasets) > 1:
        parts += [*_by_dataset(result), _wilcoxon(result)]
    return parts + _delong(result)


def _verdict(result: TwoCompared) -> str:
    """Who is better in what, and what cannot be told."""
    lines = []
    for name in (result.a, result.b):
        won = [d for d in result.differences if result.better(d.metric) == name]
        if won:
            shown = ", ".join(f"{d.metric} (by {abs(d.difference):.3f})" for d in won)
            lines.append(f"**{name} is better** in {shown}: sure (p ≤ {ALPHA}), all metrics considered.")
    if open_ := [d.metric for d in result.differences if not result.better(d.metric)]:
        lines.append(f"Not told apart: {', '.join(open_)}.")
    return " ".join(lines)


def _difference(each: Difference, names: tuple[str, str], adjusted: float) -> dict[str, str]:
    low, high = each.judged.interval
    return {
        "metric": each.metric,
        names[0]: f"{each.a:.3f}",
        names[1]: f"{each.b:.3f}",
        "difference": f"{each.difference:+.3f}",
        "95 % interval": f"{low:+.3f} … {high:+.3f}",
        "SE pictures": f"{each.pictures.se:.3f}",
        "SE seeds": "unknown" if each.seeds_se is None else f"{each.seeds_se:.3f}",
        "p pictures": _p(each.pictures.p),
        "p": _p(each.judged.p),
        "Holm": _p(adjusted),
    }


def _by_dataset(result: TwoCompared) -> list[str]:
    rows = [
        {"dataset": name, **{d.metric: _short(d) for d in one.differences}} for name, one in result.datasets.items()
    ]
    return ["### By dataset", _table(rows), "Difference with its 95 % interval, as above."]


def _short(each: Difference) -> str:
    low, high = each.judged.interval
    return f"{each.difference:+.3f} ({low:+.3f} … {high:+.3f})"


def _wilcoxon(result: TwoCompared) -> str:
    count, least = len(result.datasets), result.least_wilcoxon
    if least > ALPHA:
        return (
            f"Wilcoxon's test over datasets can show nothing here: with {count} of them its smallest possible p is"
            f" {least:.2g}. Whether the difference holds on other datasets is open; the tables above are about these."
        )
    shown = ", ".join(f"{metric} {_p(p)}" for metric, p in result.wilcoxon.items())
    return f"Wilcoxon over {count} datasets, p: {shown}. This asks whether the difference holds on other datasets."


def _delong(result: TwoCompared) -> list[str]:
    rows, names = [], (result.a, result.b)
    for name, one in result.datasets.items():
        if one.delong:
            rows.append({"dataset": name, "category": "**mean**", **_test(one.delong, names)})
            rows += [
                {"dataset": name, "category": category, **_test(each, names)}
                for category, each in one.delong_by_category.items()
            ]
    note = (
        "Of these pictures and the seeds' mean AUROC, as the bootstrap of pictures; variances of categories add up,"
        " since they share no picture."
    )
    return ["### DeLong, image AUROC", _table(rows), note] if rows else []


def _test(each: DeLong, names: tuple[str, str]) -> dict[str, str]:
    return {
        names[0]: f"{each.a:.3f}",
        names[1]: f"{each.b:.3f}",
        "difference": f"{each.difference:+.3f}",
        "SE": f"{each.se:.3f}",
        "z": "–" if each.z is None else f"{each.z:+.2f}",
        "p": "–" if each.p is None else _p(each.p),
    }


def _many(result: ManyCompared) -> list[str]:
    parts = [f"## {len(result.learners)} configurations by rank"]
    if result.ranks:
        parts += [_table([_omnibus(test) for test in result.ranks.values()]), _mean_ranks(result)]
        parts += ["Not different by Nemenyi:", _table([_nemenyi(test) for test in result.ranks.values()])]
    else:
        parts.append("One dataset has a number of every configuration: ranks need several.")
    by_datasets: dict[tuple[str, ...], list[RankTest]] = {}
    for test in result.ranks.values():
        by_datasets.setdefault(test.datasets, []).append(test)
    for tests in by_datasets.values():
        parts += _post_hoc(tests)
    for metric, pairs in result.pairs.items():
        parts += _pairs(metric, pairs)
    return parts


def _omnibus(test: RankTest) -> dict[str, str]:
    return {
        "metric": test.metric,
        "datasets": str(len(test.datasets)),
        "Friedman χ²": f"{test.chi2:.2f}",
        "p": _p(test.p),
        "Iman-Davenport F": "∞" if test.f is None else f"{test.f:.2f}",
        "p of F": _p(test.f_p),
        "critical difference": f"{test.critical_difference:.2f}",
    }


def _mean_ranks(result: ManyCompared) -> str:
    rows = [
        {"mean rank": name, **{metric: f"{test.mean_ranks[name]:.2f}" for metric, test in result.ranks.items()}}
        for name in result.learners
    ]
    return _table(rows)


def _post_hoc(tests: Sequence[RankTest]) -> list[str]:
    """What ranks over the same datasets say of pairs, by Wilcoxon's test with Holm's correction."""
    first = tests[0]
    over = f"### Pairs, over {', '.join(first.datasets)}"
    if not first.can_tell:
        return [
            over,
            f"{len(first.datasets)} datasets are too few: Wilcoxon's smallest possible p, after Holm over"
            f" {len(first.pairs)} pairs, is {first.least_p:.2g}, so it can show nothing. χ², F and the critical"
            " difference are approximations for more than ten datasets.",
        ]
    rows = [
        {"metric": test.metric, "better": a, "worse": b, "by": f"{abs(p.difference):.3f}", "Holm": _p(p.adjusted)}
        for test in tests
        for p in test.pairs
        for a, b in [(p.a, p.b) if p.difference > 0 else (p.b, p.a)]
        if p.adjusted <= ALPHA
    ]
    count = f"Wilcoxon with Holm tells {len(rows)} of {sum(len(test.pairs) for test in tests)} apart."
    return [over, count, *([_table(rows)] if rows else [])]


def _nemenyi(test: RankTest) -> dict[str, str]:
    groups = "; ".join(" – ".join(group) for group in test.groups)
    return {"metric": test.metric, "groups, best first": groups or "none: all are told apart"}


def _pairs(metric: str, pairs: Sequence[PairDifference]) -> list[str]:
    """The surest pairs of one metric."""
    told = sum(pair.better is not None for pair in pairs)
    shown = sorted(pairs, key=lambda pair: (pair.adjusted, pair.difference.judged.p))[: max(PAIRS_SHOWN, told)]
    rows = [{"first": x.a, "second": x.b, **_row(x.difference), "Holm": _p(x.adjusted)} for x in shown]
    count = f"{told} of {len(pairs)} pairs are told apart by pictures and seeds (paired bootstrap, Holm); the surest:"
    return [f"### {metric}, pairs by picture", count, _table(rows)]


def _row(each: Difference) -> dict[str, str]:
    low, high = each.judged.interval
    shown = {"difference": f"{each.difference:+.3f}", "95 % interval": f"{low:+.3f} … {high:+.3f}"}
    return {**shown, "p": _p(each.judged.p)}


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True)


def _list(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"{heading}:\n\n" + "\n".join(f"- {line}" for line in lines)] if lines else []
