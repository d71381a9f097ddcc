"""What the gate calls regressed where seeds differ: false alarms on an unchanged tree, and drops that it catches."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import gate_calibration
from tests.helpers.gate_cases import PARAMS, commit_all, draw_cells, make_cell, repo, run, with_values, write_cell
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.regressions import Cells, Change, compare

__all__ = ["repo"]  # the fixture, by which pytest finds it

CELL, MEAN = dict.fromkeys(METRICS, 0.02), dict.fromkeys(METRICS, 0.01)


def changes(before: Cells, after: Cells) -> list[Change]:
    return compare(before, after, CELL, MEAN)


def regressed(before: Cells, after: Cells) -> set[tuple[str, str, str]]:
    return {(c.learner, c.dataset, c.metric) for c in changes(before, after) if c.regressed}


def lowered(cell: dict[str, Any], drop: float) -> dict[str, Any]:
    """`cell` with every value lower by `drop`."""
    seeds = cell["per_seed"].values()
    return with_values(cell, {metric: [values[metric] - drop for values in seeds] for metric in METRICS})


def spreads(rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard deviations of 24 cells, log-uniform from 0.002 to 0.06, a little different from metric to metric."""
    return 0.002 * 30 ** rng.random((8, 3, 1)) * np.exp(0.2 * rng.standard_normal((8, 3, 7)))


def one_noisy_learner(rng: np.random.Generator) -> NDArray[np.float64]:
    """Seven quiet configurations and one that is six times as noisy."""
    return 0.015 * np.array([6.0, *[1.0] * 7])[:, None, None] * np.exp(0.3 * rng.standard_normal((8, 3, 7)))


@pytest.mark.parametrize("sds", [spreads, one_noisy_learner])
def test_an_unchanged_tree_seldom_regresses(sds: Any) -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(150):
        drawn = sds(rng)
        alarms += bool(regressed(draw_cells(rng, drawn), draw_cells(rng, drawn)))
    assert alarms / 150 <= 0.05


def test_another_draw_passes_where_tolerances_alone_would_not() -> None:
    rng = np.random.default_rng(1)
    sds = spreads(rng)
    found = changes(draw_cells(rng, sds), draw_cells(rng, sds))
    assert not any(change.regressed for change in found)
    assert sum(change.within_spread for change in found) > 10


def test_a_drop_of_a_tenth_on_a_cell_is_caught() -> None:
    rng = np.random.default_rng(2)
    caught = 0
    for _ in range(40):
        before, after = (draw_cells(rng, np.full((8, 3, 7), 0.015)) for _ in range(2))
        name = ("learner_7", "set_2")
        found = regressed(before, {**after, name: lowered(after[name], 0.1)})
        caught += any(found_name[:2] == name for found_name in found)
    assert caught >= 38


def test_a_drop_of_a_whole_learner_is_caught() -> None:
    rng = np.random.default_rng(3)
    caught = 0
    for _ in range(40):
        before, after = (draw_cells(rng, np.full((8, 3, 7), 0.02)) for _ in range(2))
        after = {name: lowered(cell, 0.08 * (name[0] == "learner_0")) for name, cell in after.items()}
        caught += any(found[:2] == ("learner_0", "mean of 3") for found in regressed(before, after))
    assert caught >= 38


def test_what_a_learner_is_known_by_is_found_first() -> None:
    """One mean of 56 falls by 5 standard errors: found where it is a headline, for it has more of the false alarms."""
    rng, caught = np.random.default_rng(6), dict.fromkeys(("image_auroc", "image_ap"), 0)
    for metric in caught:
        for _ in range(40):
            before, after = (draw_cells(rng, np.full((8, 3, 7), 0.02)) for _ in range(2))
            for name in [name for name in after if name[0] == "learner_0"]:
                values = [seed[metric] - 0.05 for seed in after[name]["per_seed"].values()]
                after[name] = with_values(after[name], {metric: values})
            caught[metric] += ("learner_0", "mean of 3", metric) in regressed(before, after)
    assert caught["image_auroc"] >= 25
    assert caught["image_ap"] <= 18


def test_seeds_of_a_mean_are_means_over_datasets() -> None:
    """Two datasets of one model that move against each other leave the mean in peace."""
    up, down = [0.7, 0.8, 0.9], [0.9, 0.8, 0.7001]
    before = {("a", d): with_values(make_cell("a", d), {"pixel_ap": v}) for d, v in (("x", up), ("y", down))}
    after = {name: with_values(cell, {"pixel_ap": [0.75, 0.75, 0.75]}) for name, cell in before.items()}
    by_scope = {c.dataset: c for c in changes(before, after) if c.metric == "pixel_ap"}
    assert by_scope["mean of 2"].regressed
    assert by_scope["x"].within_spread
    assert by_scope["mean of 2"].seeds_before == pytest.approx((0.8, 0.8, 0.80005))


def test_what_has_no_noise_is_judged_by_its_tolerance() -> None:
    rng = np.random.default_rng(4)
    before = draw_cells(rng, np.full((4, 2, 7), 0.05))
    zero = {**make_cell("clip_zero", "x"), "seeds": [0], "per_seed": {"0": dict.fromkeys(METRICS, 0.8)}}
    after = {**before, ("clip_zero", "x"): lowered(zero, 0.03)}
    found = regressed({**before, ("clip_zero", "x"): zero}, after)
    assert {name[0] for name in found} == {"clip_zero"}
    assert len(found) == 2 * len(METRICS)


@pytest.mark.parametrize("seeds", [[0.8, 0.8, 0.8], [0.8], [0.8, None, None], [0.8, float("nan"), float("nan")]])
def test_seeds_that_tell_no_noise_leave_the_tolerance_alone(seeds: list[float | None]) -> None:
    before, after = ({("a", "x"): make_cell("a", "x", value)} for value in (0.8, 0.77))
    for side, shift in ((before, 0.0), (after, 0.03)):
        values = [None if v is None else v - shift for v in seeds]
        side["a", "x"]["per_seed"] = {str(i): {"image_ap": v} for i, v in enumerate(values)}
    found = next(c for c in changes(before, after) if c.metric == "image_ap")
    assert found.regressed
    assert (found.noise, found.df, found.p) == (None, None, None)


def test_p_and_noise_are_sure_where_seeds_differ() -> None:
    rng = np.random.default_rng(5)
    sds = spreads(rng)
    for change in changes(draw_cells(rng, sds), draw_cells(rng, sds)):
        assert change.noise is not None
        assert change.noise > 0
        assert change.p is not None
        assert 0 <= change.p <= 1
        assert change.df is not None
        assert change.df >= 4


@pytest.fixture
def noisy(repo: Path) -> Path:
    """cops on wood with seeds that spread, committed."""
    write_cell(with_values(make_cell("cops", "wood"), {"image_ap": [0.7, 0.9]}))
    commit_all()
    return repo


def test_a_drop_within_the_seeds_spread_passes_and_is_listed(noisy: Path) -> None:
    write_cell(with_values(make_cell("cops", "wood"), {"image_ap": [0.65, 0.85]}))
    verdict = run()
    assert (verdict.status, verdict.exit_code) == ("passed", 0)
    assert "2 fell by more than the tolerance within the spread" in verdict.markdown
    assert "| within the spread | cops | wood | image_ap | 0.8000 | 0.7500 | -0.0500 | 0.03 | 0.1414 |" in (
        verdict.markdown
    )
    assert "noise: standard error" in verdict.markdown


def test_a_drop_beyond_the_seeds_spread_regresses(noisy: Path) -> None:
    for i, (learner, dataset) in enumerate(itertools.product(("cops", "clip_zero"), ("wood", "steel"))):
        write_cell(with_values(make_cell(learner, dataset), {"image_ap": [0.8, 0.81 + i / 1000]}))
    commit_all()
    write_cell(with_values(make_cell("cops", "wood"), {"image_ap": [0.2, 0.21]}))
    verdict = run()
    assert verdict.status == "regressed"
    assert {(c.dataset, c.metric) for c in verdict.changes if c.regressed} == {
        ("wood", "image_ap"),
        ("mean of 2", "image_ap"),
    }


def test_json_holds_noise_and_p(noisy: Path) -> None:
    write_cell(with_values(make_cell("cops", "wood"), {"image_ap": [0.65, 0.85]}))
    stored = json.loads(json.dumps(run().as_dict(), allow_nan=False))["changes"]
    row = next(row for row in stored if (row["dataset"], row["metric"], row["learner"]) == ("wood", "image_ap", "cops"))
    assert row["within_spread"] is True
    assert row["regressed"] is False
    assert row["noise"] == pytest.approx(0.02**0.5)
    assert 0.05 < row["p"] <= 1
    assert row["seeds_after"] == pytest.approx([0.65, 0.85])


def test_a_trained_learner_with_one_seed_is_noted(repo: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("[0, 1]", "[0]"))
    for learner, source in (("cops", "aux"), ("clip_zero", None)):
        for dataset in ("wood", "steel"):
            one = {**make_cell(learner, dataset), "source": source, "seeds": [0]}
            write_cell({**one, "per_seed": {"0": dict.fromkeys(METRICS, 0.8)}})
    commit_all()
    assert [note.partition(":")[0] for note in run().notes] == ["cops"]
    assert "one seed" in run().notes[0]


def test_calibration_counts_verdicts_over_all_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(6)
    for side in ("a", "b", "c"):
        for (learner, dataset), cell in draw_cells(rng, np.full((4, 3, 7), 0.02)).items():
            path = tmp_path / side / "cells" / learner / f"{dataset}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(cell))
    sides = {side: gate_calibration.cells_of(tmp_path / side) for side in ("a", "b", "c")}
    gate_calibration.report(sides, CELL, MEAN)
    text = capsys.readouterr().out
    assert "regressed in 0 of 6 ordered pairs" in text
    assert all(metric in text for metric in METRICS)


def test_a_training_of_many_seeds_is_taken_apart() -> None:
    rng = np.random.default_rng(7)
    cells = {**draw_cells(rng, np.full((1, 1, 7), 0.02), seeds=6), ("clip_zero", "x"): make_cell("clip_zero", "x")}
    cells["clip_zero", "x"]["per_seed"] = {"0": cells["clip_zero", "x"]["mean"]}
    first, second = gate_calibration.apart("run", cells, 3).values()
    assert first["clip_zero", "x"] == second["clip_zero", "x"] == cells["clip_zero", "x"]
    (trained,) = first.keys() - {("clip_zero", "x")}
    assert {**first[trained]["per_seed"], **second[trained]["per_seed"]} == cells[trained]["per_seed"]
    for half in (first[trained], second[trained]):
        assert len(half["per_seed"]) == 3
        for metric in METRICS:
            assert half["mean"][metric] == pytest.approx(np.mean([seed[metric] for seed in half["per_seed"].values()]))


def test_seeds_that_do_not_make_whole_trainings_are_refused() -> None:
    cells = draw_cells(np.random.default_rng(8), np.full((1, 1, 7), 0.02), seeds=5)
    with pytest.raises(SystemExit, match="5 seeds"):
        gate_calibration.apart("run", cells, 3)
