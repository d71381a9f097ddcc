"""Cells counted beforehand, against the cells themselves: trained, adapted and predicted at small size."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.workplace import params, workplace
from zsad.clip.weights import EMBEDDED, prepare
from zsad.config.params import Params
from zsad.config.schema import BackboneParams
from zsad.inference.predict import predict
from zsad.pipeline.bench.counting import operations
from zsad.pipeline.cost.cells import Cell, Grid
from zsad.training.adapt import adapt
from zsad.training.train import train

SIDE, PICTURES = 32, 4
BACKBONE = BackboneParams(name=EMBEDDED, pretrained=EMBEDDED, image_size=SIDE)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "embedded"
    prepare(BACKBONE, out)
    return out


def of(method: str, **more: Any) -> Params:
    return params(method, SIDE, "cpu", epochs=2, **more).model_copy(update={"backbones": {"default": BACKBONE}})


def unheard(event: str, **fields: Any) -> None:
    """Nobody listens."""


def size_of(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).glob("seed_*.safetensors"))


def test_a_training(embedded: Path, tmp_path: Path) -> None:
    mine = of("anomalyclip", seeds=(0, 1))
    with workplace(tmp_path, embedded, PICTURES):
        (cell,) = Grid(mine).cells()
        assert (cell.stage, cell.on, cell.pictures) == ("train", "source", PICTURES)  # on its own source: no prediction
        done = operations(lambda: train(mine, "mine", "source", unheard))
        assert cell.flop == pytest.approx(done, rel=0.005)  # the draws that a checkpoint gets at its end are left out
        assert cell.kept == pytest.approx(size_of("data/checkpoints/mine/source"), rel=0.05)


def test_an_adaptation_and_its_predictions(embedded: Path, tmp_path: Path) -> None:
    mine = of("promptad", seeds=(0, 1))
    with workplace(tmp_path, embedded, PICTURES):
        adapted, predicted = Grid(mine).cells(["mine"])
        done = operations(lambda: adapt(mine, "mine", "source", unheard))
        assert adapted.flop == pytest.approx(done, rel=0.2)  # the last look at the text, without gradients, is left out
        assert adapted.kept == pytest.approx(size_of("data/checkpoints/mine/source"), rel=0.1)
        assert predicted.flop == operations(lambda: predict(mine, "mine", "source"))
        headers = 2 * 256  # of two files that hold next to nothing
        assert size_of("data/predictions/mine/source") - headers == pytest.approx(predicted.kept, rel=0.1)


def test_what_is_not_trained_has_one_seed_and_each_name_once(embedded: Path, tmp_path: Path) -> None:
    mine = of("clip_zero", seeds=(0, 1))
    with workplace(tmp_path, embedded, PICTURES):
        train(mine, "mine", "source", unheard)
        (cell,) = Grid(mine).cells()
        assert isinstance(cell, Cell)
        assert cell.flop == operations(lambda: predict(mine, "mine", "source"))
