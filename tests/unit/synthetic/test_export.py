"""The embedded weights: small, recorded, complete, and a plain open_clip model."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from zsad.clip.embedded import loader as embedded
from zsad_synthetic.pretraining import evaluate, export, model, pretrain, tokens
from zsad_synthetic.pretraining.stream import patch_shares


def test_file_is_small_with_one_metadata_key() -> None:
    assert embedded.WEIGHTS.stat().st_size <= 15 * 2**20
    with embedded.WEIGHTS.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    assert len(header["__metadata__"]) == 1


def test_hash_is_the_recorded_one() -> None:
    assert embedded.sha256() in (embedded.FOLDER / "MODEL_CARD.md").read_text()


def test_weights_load_strictly_into_open_clip_and_give_the_same_features(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(embedded.config()))
    save_file(embedded.state_dict(), tmp_path / "open_clip_model.safetensors", metadata={"format": "pt"})
    plain = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    pixels, text = torch.randn(2, 3, 112, 112), ["damaged object.", "a photo of a zyxgrubl"]
    compact = evaluate.load()
    with torch.no_grad():
        assert torch.allclose(plain.encode_image(pixels), model.encode_image(compact, pixels).cls, atol=1e-4)
        expected = model.encode_text(compact, *map(torch.as_tensor, tokens.encode(text)))
        assert torch.allclose(plain.encode_text(open_clip.tokenize(text)), expected, atol=1e-4)


def test_state_dict_is_complete_finite_and_shares_one_unknown_row() -> None:
    weights = embedded.state_dict()
    table = weights["token_embedding.weight"]
    assert table.shape == (49408, 192)
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in weights.values())
    unknown = np.setdiff1d(np.arange(len(table)), tokens.kept_ids())
    assert (table[unknown] == table[unknown[0]]).all()
    assert not (table[tokens.kept_ids()] == table[unknown[0]]).all(1).any()


def test_export_keeps_the_weights_to_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretraining = pretrain.Pretraining(pretrain.PretrainConfig(), tmp_path)
    pretraining.save()
    export.main([str(pretraining.checkpoint), "--to", str(tmp_path / "weights.safetensors")])
    monkeypatch.setattr(embedded, "WEIGHTS", tmp_path / "weights.safetensors")
    loaded, trained = evaluate.load().state_dict(), pretraining.model.state_dict()
    assert loaded.keys() == trained.keys()
    assert all(torch.allclose(loaded[name], trained[name], atol=1e-3) for name in trained)


def test_export_names_a_missing_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        export.main([str(tmp_path / "none.pt")])
    assert stopped.value.code == 2
    assert "none.pt" in capsys.readouterr().err


SURFACES = ["foam", "marble", "basket weave", "roof shingle"]


def test_hand_written_prompts_find_defects_on_held_out_surfaces() -> None:
    found = evaluate.figures(evaluate.load(), evaluate.rendered(SURFACES, 48), "surface")
    assert min(found.cls, found.raw_cls, found.largest_patch) > 0.65
    assert min(found.pixel, found.late_pixel) > 0.5


def test_image_features_tell_more_than_hand_written_prompts_point_at() -> None:
    """The difference of two means, taken on other kinds, finds defective patches of held-out surfaces much better."""
    network = evaluate.load()
    features, defective = labelled_patches(network, ["wood", "brick wall", "felt", "cast metal"])
    learned = features[defective].mean(0) - features[~defective].mean(0)
    features, defective = labelled_patches(network, SURFACES)
    by_hand = evaluate.state_axis(network, "surface")
    areas = [roc_auc_score(defective.numpy(), (features @ axis).detach().numpy()) for axis in (learned, by_hand)]
    assert areas[0] > 0.75
    assert areas[0] > areas[1] + 0.1


@torch.no_grad()
def labelled_patches(network: open_clip.CLIP, kinds: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit features [N, C] of the first V-V stream's patches in 32 rendered pictures, and which are defective [N]."""
    pictures = list(evaluate.rendered(kinds, 32, seed=20_000))
    pixels = model.normaliser(embedded.config())(np.stack([p.pixels for p in pictures]))
    patches = F.normalize(model.encode_image(network, pixels).patches[0], dim=-1)
    shares = np.stack([patch_shares(p.mask, 8) for p in pictures if p.mask is not None])
    return patches.flatten(0, 1), torch.from_numpy(shares.ravel() > 0.25)


if "ZSAD_REAL_DATA" in os.environ:  # without real pictures there is nothing to collect

    def test_hand_written_prompts_beat_chance_on_real_pictures() -> None:
        network, root = evaluate.load(), Path(os.environ["ZSAD_REAL_DATA"])
        found = [evaluate.figures(network, evaluate.folder(c.parent), c.parent.name) for c in root.glob("*/*/test")]
        assert np.nanmean([f.pixel for f in found]) > 0.55
        assert np.nanmean([f.cls for f in found]) > 0.5
