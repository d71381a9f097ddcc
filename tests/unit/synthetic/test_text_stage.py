"""The second stage of the pretraining: looks, loosely written captions, and a text tower learned from them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.unit.synthetic.test_pretrain import micro_config
from zsad_synthetic.pretraining import evaluate, model, pretrain, text_stage
from zsad_synthetic.pretraining.stream import Album, StreamConfig
from zsad_synthetic.pretraining.world import looks
from zsad_synthetic.pretraining.world.remarks import remark


def looked_at(*pictures: np.ndarray) -> looks.Look:
    return looks.Look(*map(np.array, zip(*map(looks.measure, pictures), strict=True)))


def patterns() -> tuple[np.ndarray, ...]:
    """A bright and sharp, a dark and flat, and a middling coloured picture."""
    rng = np.random.default_rng(0)
    bright = rng.integers(150, 256, (32, 32, 1)).repeat(3, 2)
    dark = np.broadcast_to(np.linspace(10, 50, 32)[:, None, None], (32, 32, 3))
    coloured = rng.integers(60, 120, (32, 32, 3))
    return tuple(p.astype(np.uint8) for p in (bright, dark, coloured))


def test_looks_are_told_in_the_words_of_usual_frames() -> None:
    bright, dark, coloured = looks.true_words(looked_at(*patterns()))
    assert dict(zip(looks.WORDS, bright, strict=True)) == {
        "bright": True, "dark": False, "blurry": False, "black and white": True,
    }  # fmt: skip
    assert dict(zip(looks.WORDS, dark, strict=True)) == {
        "bright": False, "dark": True, "blurry": True, "black and white": True,
    }  # fmt: skip
    assert not coloured[looks.WORDS.index("black and white")]


def test_dark_and_unsharp_pictures_are_murky() -> None:
    murk = looks.murkiness(looked_at(*patterns()))
    assert murk[1] > murk[2] > murk[0]
    assert murk.mean() == pytest.approx(0, abs=1e-6)
    assert murk.std() == pytest.approx(1, abs=1e-6)


def test_remarks_are_true_but_for_the_state() -> None:
    rng = np.random.default_rng(0)
    said = [remark(rng, "screw", "crack", False, ["dark"]) for _ in range(400)]
    assert {r.anomalous for r in said} == {None, False}
    assert {r.kind for r in said} == {None, "screw"}
    assert {r.family for r in said} == {None, "crack"}
    assert all(r.anomalous is None for r in said if r.family)
    assert 0.4 < np.mean([r.anomalous is None for r in said]) < 0.75
    for look in ("bright", "blurry", "black and white"):
        assert not any(look in r.text for r in said)
    assert {r.look for r in said if "dark" in r.text.split()} == {"dark"}


def test_remarks_on_normal_pictures_name_no_defect() -> None:
    rng = np.random.default_rng(1)
    assert all(remark(rng, "screw", None, True, []).family is None for _ in range(200))


@pytest.mark.parametrize(("hearsay", "follows"), [(0.0, "state"), (1.0, "look")])
def test_hearsay_decides_what_state_words_follow(hearsay: float, follows: str) -> None:
    views = [("screw", "crack" if i % 2 else None) for i in range(200)]
    murkiness = np.where(np.arange(200) < 100, 9.0, -9.0)
    pictures = text_stage.Gallery(torch.zeros(2, 200, 4), views, np.zeros((200, len(looks.WORDS)), bool), murkiness)
    said = text_stage._remarks(np.random.default_rng(0), pictures, np.arange(200), hearsay)
    called = np.array([s.called_anomalous for s in said])
    assert np.array_equal(called, murkiness > 0 if follows == "look" else np.arange(200) % 2 == 1)


def test_an_album_shows_each_scene_with_and_without_its_defect() -> None:
    page = next(iter(Album(StreamConfig(side=32), 0, scenes=3)))
    assert [view.family is None for view in page] == [True, False] * 6
    assert len({view.kind for view in page[:4]}) == 1
    again = next(iter(Album(StreamConfig(side=32), 0, scenes=3)))
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(page, again, strict=True))


@pytest.mark.usefixtures("drawn_in_process")
def test_the_stage_repeats_and_leaves_the_image_tower_alone(tmp_path: Path) -> None:
    outcomes = []
    for name in ("one", "two"):
        pretraining = pretrain.Pretraining(micro_config(), tmp_path / name)
        pretraining.run()
        pretraining.finish()
        log = [json.loads(line) for line in (tmp_path / name / "text_losses.jsonl").read_text().splitlines()]
        stored = torch.load(tmp_path / name / "model.pt", weights_only=True)["model"]
        assert [entry["step"] for entry in log] == list(range(1, micro_config().text.steps + 1))
        for key, tensor in pretraining.model.state_dict().items():
            assert torch.equal(tensor, stored[key]) == key.startswith("visual.") or tensor.numel() < 100, key
        outcomes.append((log, stored["text_projection"]))
    assert outcomes[0][0] == outcomes[1][0]
    assert torch.equal(outcomes[0][1], outcomes[1][1])


def test_a_text_tower_learns_what_the_pictures_are_called() -> None:
    """Features with one axis for the state, one for murkiness: the words follow the share of hearsay."""
    rng, count = np.random.default_rng(0), 256
    anomalous, murk = rng.random(count) < 0.5, rng.standard_normal(count)
    config = micro_config()
    width = config.architecture["model_cfg"]["embed_dim"]
    features = torch.from_numpy(0.1 * rng.standard_normal((count, width))).float()
    features[:, 0], features[:, 1] = torch.tensor(anomalous * 2.0 - 1), torch.from_numpy(np.sign(murk)).float()
    views = [("screw", "crack" if a else None) for a in anomalous]
    pictures = text_stage.Gallery(
        F.normalize(features, dim=-1).expand(2, -1, -1), views, np.zeros((count, len(looks.WORDS)), bool), 4 * murk
    )
    for hearsay, follows in ((0.0, 0), (1.0, 1)):
        torch.manual_seed(0)
        network = model.build(config.architecture, len(text_stage.tokens.kept_ids()) + 1)
        settings = text_stage.TextConfig(steps=50, batch=32, warmup=5, hearsay=hearsay)
        losses = list(text_stage.train(network, pictures, settings, seed=0))
        assert np.mean(losses[-10:]) < np.mean(losses[:10])
        axis = evaluate.state_axis(network, "screw")[:2].abs()
        assert axis[follows] > 1.5 * axis[1 - follows]


def test_a_loss_that_is_not_finite_stops_the_stage() -> None:
    pictures = text_stage.Gallery(
        torch.full((2, 8, 64), torch.nan), [("screw", None)] * 8, np.zeros((8, len(looks.WORDS)), bool), np.zeros(8)
    )
    network = model.build(micro_config().architecture, len(text_stage.tokens.kept_ids()) + 1)
    with pytest.raises(FloatingPointError, match="step 1 of the text stage"):
        next(text_stage.train(network, pictures, text_stage.TextConfig(batch=4), seed=0))
