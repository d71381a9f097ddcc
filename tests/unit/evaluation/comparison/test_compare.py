"""`zsad compare` on written predictions: what is told, and what is refused."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.compare_cases import make_params, write_grid, write_nothing, write_predictions, write_set
from zsad.common.errors import UserError
from zsad.datasets.manifest import load_manifest
from zsad.evaluation.category import image_scores
from zsad.evaluation.comparison.compare import compare
from zsad.evaluation.comparison.many import ManyCompared
from zsad.evaluation.comparison.markdown import markdown
from zsad.evaluation.comparison.output import tell
from zsad.evaluation.comparison.two import TwoCompared
from zsad.evaluation.metrics.bootstrap import draw_pictures
from zsad.evaluation.metrics.names import METRICS
from zsad.evaluation.results import read_cell
from zsad.inference.stored import PREDICTIONS, Predictions

STRENGTHS = {"cops": 3.0, "faprompt": 1.0, "clip_zero": 0.0}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and a tenth of the draws: these tests ask what is told, not how exactly."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zsad.evaluation.category.draw_pictures", partial(draw_pictures, draws=100))
    return tmp_path


def two(*arguments: object, **named: object) -> TwoCompared:
    result = compare(*arguments, **named)  # type: ignore[arg-type]
    assert isinstance(result, TwoCompared)
    return result


def test_two_configurations(place: Path) -> None:
    params = make_params()
    write_grid(params, STRENGTHS)
    result = two(params, ["cops", "clip_zero"])
    assert [d.metric for d in result.differences] == list(METRICS)
    for each in result.differences:  # the numbers of the leaderboard
        cells = {key: [read_cell(key, d)["mean"][each.metric] for d in params.datasets] for key in STRENGTHS}
        assert (each.a, each.b) == pytest.approx((sum(cells["cops"]) / 2, sum(cells["clip_zero"]) / 2), abs=1e-6)
    assert result.better("pixel_auroc") == "cops"
    assert list(result.datasets) == ["wood", "steel"]
    page = markdown(result)
    assert "**cops is better** in " in page
    assert "with 2 of them its smallest possible p is 0.5" in page
    assert "### DeLong, image AUROC" in page


def test_one_dataset_and_one_metric(place: Path) -> None:
    params = make_params()
    write_grid(params, STRENGTHS)
    result = two(params, ["faprompt", "cops"], "steel", ["image_auroc"])
    (only,) = result.differences
    assert only.difference < 0
    assert result.wilcoxon == {}
    exact = result.datasets["steel"].delong
    assert exact is not None
    assert exact.difference == pytest.approx(only.difference)
    assert exact.se == pytest.approx(only.pictures.se, rel=0.25)
    assert set(result.datasets["steel"].delong_by_category) == {"cup", "nut"}
    assert "By dataset" not in markdown(result)


def test_image_metrics_alone_give_the_same_numbers_without_reading_masks(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS)
    (whole, *_) = two(params, ["cops", "faprompt"]).differences
    for mask in Path("wood").rglob("*.png"):
        mask.unlink()
    assert two(params, ["cops", "faprompt"], metrics=["image_auroc"]).differences == (whole,)


def test_what_is_not_applicable_is_left_out_with_the_reason(place: Path) -> None:
    params = make_params()
    write_grid(params, STRENGTHS)
    write_nothing(load_manifest("wood"), "cops", params)
    result = two(params, ["cops", "faprompt"])
    assert list(result.datasets) == ["steel"]
    assert result.left_out == ("wood: not applicable (cops: cops is trained on it)",)
    with pytest.raises(UserError, match="nothing to compare: wood: not applicable"):
        compare(params, ["cops", "faprompt"], "wood")


def test_a_category_that_one_has_not_is_left_out(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS)
    write_predictions(load_manifest("wood"), "cops", 3.0, shots=2, source=None, left_out={"nut": "no normal pictures"})
    result = two(params, ["cops", "faprompt"], metrics=["image_auroc"])
    assert result.left_out == ("wood: without nut, for which one of the two has no number",)
    assert list(result.datasets["wood"].delong_by_category) == ["cup"]


def test_a_category_with_one_anomalous_picture_has_an_auroc_and_no_delong(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS, pictures=3)
    result = two(params, ["cops", "faprompt"], metrics=["image_auroc"])
    assert result.datasets["wood"].delong is None
    assert result.left_out == ("wood: DeLong without cup, nut: fewer than 2 normal or 2 anomalous pictures",)
    assert "DeLong, image" not in markdown(result)


def test_unlike_configurations_are_flagged(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS)
    manifest = load_manifest("wood")
    write_predictions(manifest, "cops", 3.0, protocol="paper", source="other", shots=0)
    (protocol, source) = two(params, ["faprompt", "cops"], metrics=["image_auroc"]).remarks
    assert "cops `paper`" in protocol
    assert "faprompt is trained on aux, cops on other" in source
    write_predictions(manifest, "cops", 3.0, shots=2, source=None)
    (shots,) = two(params, ["faprompt", "cops"], metrics=["image_auroc"]).remarks
    assert "faprompt 0 and cops 2" in shots


def test_paper_scores_that_mix_in_maps_are_those_of_the_cell(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS)
    manifest = load_manifest("wood")
    write_predictions(manifest, "cops", 1.0, protocol="paper", image_top={"": 0.25})
    predictions = Predictions.open(PREDICTIONS / "cops/wood")
    images = [i for i, row in enumerate(manifest.test) if row.category == "cup"]
    assert (image_scores(predictions, 0, "cup", images) != predictions.scores(0)[images]).any()
    result = two(params, ["cops", "faprompt"], metrics=["image_auroc"])
    (only,) = result.differences
    assert result.datasets["wood"].delong is not None
    assert result.datasets["wood"].delong.a == pytest.approx(only.a)


def test_many_by_rank_and_by_picture_where_datasets_are_few(place: Path) -> None:
    params = make_params(["wood", "steel", "glass"])
    write_grid(params, STRENGTHS)
    result = compare(params)
    assert isinstance(result, ManyCompared)
    assert set(result.ranks) == set(METRICS)
    assert list(result.ranks["pixel_auroc"].mean_ranks) == ["cops", "faprompt", "clip_zero"]
    assert list(result.pairs) == ["image_auroc"]  # the others take reading every map: on request
    assert len(result.pairs["image_auroc"]) == 3
    assert any(pair.better == "cops" for pair in result.pairs["image_auroc"])
    page = markdown(result)
    assert "3 datasets are too few: Wilcoxon's smallest possible p, after Holm over 3 pairs, is 0.75" in page
    assert "pairs are told apart by pictures and seeds" in page


def test_many_with_datasets_enough_want_no_predictions(place: Path) -> None:
    params = make_params([f"set_{i}" for i in range(7)])
    write_grid(params, STRENGTHS, pictures=6)
    for path in PREDICTIONS.rglob("*.safetensors"):
        path.unlink()
    result = compare(params, metrics=["pixel_auroc"])
    assert isinstance(result, ManyCompared)
    assert result.pairs == {}
    assert result.ranks["pixel_auroc"].can_tell
    assert "Wilcoxon with Holm tells 3 of 3 apart." in markdown(result)


def test_many_leave_out_what_not_all_have_and_flag_protocols(place: Path) -> None:
    params = make_params(["wood", "steel", "glass"])
    write_grid(params, STRENGTHS)
    write_nothing(load_manifest("glass"), "faprompt", params)
    for path in [PREDICTIONS / "cops" / name for name in params.datasets]:
        for file in path.iterdir():
            file.unlink()
    result = compare(params)
    assert isinstance(result, ManyCompared)
    assert result.ranks["image_auroc"].datasets == ("wood", "steel")
    assert result.left_out == ("glass: no numbers of faprompt",)
    assert result.pairs == {}
    (remark,) = result.remarks
    assert "no predictions of cops below data/predictions" in remark

    cell = read_cell("cops", "wood")
    Path("metrics/cells/cops/wood.json").write_text(json.dumps({**cell, "protocol": "paper"}))
    assert any("cops: protocol `paper`" in line for line in compare(params).remarks)


def test_nothing_shared_is_an_error_that_names_the_one_to_leave_out(place: Path) -> None:
    params = make_params(["wood", "steel"])
    write_grid(params, STRENGTHS)
    for name in params.datasets:
        write_nothing(load_manifest(name), "faprompt", params)
    with pytest.raises(UserError, match=r"faprompt has the fewest \(0\): name the configurations"):
        compare(params)


@pytest.mark.parametrize(
    ("keys", "dataset", "metrics", "message"),
    [
        (["cops"], None, [], "two different configurations or more"),
        (["cops", "cops"], None, [], "two different configurations or more"),
        (["cops", "faprompd"], None, [], "did you mean 'faprompt'?"),
        (["cops", "faprompt"], "wod", [], "did you mean 'wood'?"),
        (["cops", "faprompt", "clip_zero"], "wood", [], "ranks need several datasets"),
        (["cops", "faprompt"], None, ["auroc"], "no such metric; there are: image_auroc"),
        (["cops", "faprompt"], None, [], "data/manifests/wood: no manifest of wood"),
        ([], None, [], "metrics/cells/cops/wood.json: not found; run `dvc repro`"),
    ],
)
def test_what_is_refused(place: Path, keys: list[str], dataset: str | None, metrics: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        compare(make_params(), keys, dataset, metrics)


def test_missing_predictions_and_other_pictures_are_refused(place: Path) -> None:
    params = make_params(["wood"])
    manifest = write_set("wood")
    write_predictions(manifest, "cops", 1.0)
    with pytest.raises(UserError, match="data/predictions/faprompt/wood/prediction.json: not found; run `dvc repro`"):
        compare(params, ["cops", "faprompt"])
    write_predictions(manifest, "faprompt", 1.0, dataset_hash="of another day")
    with pytest.raises(UserError, match="faprompt/wood: predicted on other images than data/manifests/wood lists"):
        compare(params, ["cops", "faprompt"])


def test_other_seeds_on_another_dataset_are_refused(place: Path) -> None:
    params = make_params()
    write_grid(params, STRENGTHS)
    write_predictions(load_manifest("steel"), "cops", 1.0, seeds=[0, 7])
    with pytest.raises(UserError, match="cops/steel: other seeds than data/predictions/cops/wood has"):
        compare(params, ["cops", "faprompt"])


def test_json_and_diagram(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = make_params(["wood", "steel", "glass"])
    write_grid(params, STRENGTHS)
    result = compare(params, metrics=["image_auroc"])
    tell(result, Path("all.json"), Path("all.svg"))
    assert capsys.readouterr().out.startswith("## 3 configurations by rank")
    assert json.loads(Path("all.json").read_text())["ranks"]["image_auroc"]["mean_ranks"]["cops"] == 1.0
    assert "critical difference" in Path("all.svg").read_text()
    with pytest.raises(UserError, match="--diagram: ranks need three configurations"):
        tell(two(params, ["cops", "faprompt"], "wood", ["image_auroc"]), svg=Path("two.svg"))


def test_one_seed_is_told(place: Path) -> None:
    params = make_params(["wood"])
    write_grid(params, STRENGTHS)
    write_predictions(load_manifest("wood"), "cops", 1.0, seeds=[0])
    page = markdown(two(params, ["cops", "faprompt"], metrics=["image_auroc"]))
    assert "image_auroc: one seed, so what another training would change is unknown" in page
