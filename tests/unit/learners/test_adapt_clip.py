"""AdaptCLIP: shapes, what batch norm sees, prompts, fusion, references, the few-shot form."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from zsad.inference.maps import upsample
from zsad.learners.adapt_clip import AdaptClip, Config
from zsad.learners.adapt_clip.adapters import ComparingAdapter, ResidualMlp, nearest
from zsad.learners.adapt_clip.fusion import enlarge, harmonic_mean, peak
from zsad.learners.few_shot import Support

Build = Callable[..., Any]
NAMES = ["object"] * 3


@pytest.fixture(scope="module")
def make(build: Build) -> Build:
    """make(**settings) → a learner with seeded parameters, whose batch norms read running statistics."""
    return lambda **settings: build("adapt_clip", **settings).eval()


@pytest.fixture(scope="module")
def features(clip: Any, make: Build, pictures: Any) -> Any:
    return clip.image.encode(pictures, make().training_spec)


@pytest.fixture
def remember(clip: Any, pictures: Any) -> Callable[..., None]:
    """remember(learner, indices of pictures): adapt it to them."""

    def run(learner: Any, pick: list[int]) -> None:
        encode = partial(clip.image.encode, spec=learner.support_spec)
        assert list(learner.adapt(Support(pictures[pick], "gear", "gear", encode, 0))) == []

    return run


def test_sizes_at_vit_l(vit_l_shapes: Any) -> None:
    learner = AdaptClip(Config(), vit_l_shapes)
    counts = {
        name: sum(parameter.numel() for parameter in part.parameters()) for name, part in learner.named_children()
    }
    assert counts == {"textual_learner": 18_432, "visual_learner": 590_592, "pq_learner": 1_154_242}
    assert (learner.vv_start, learner.layers) == (5, (6, 12, 18, 24))
    assert (learner.spec.vv_layers, learner.training_spec.vv_layers) == ((24,), (6, 12, 18, 24))
    assert (learner.map_grid, learner.references) == ((37, 37), 32)
    few = AdaptClip(Config(map_scale=4), vit_l_shapes, shots=2)
    assert few.map_grid == (148, 148)
    assert few.memory.shape == (4, 2 * 1369, 768)
    assert few.spec == learner.training_spec


def test_official_constants_are_the_defaults() -> None:
    config = Config()
    assert (config.epochs, config.train_batch_size, config.lr, config.betas) == (15, 8, 0.001, (0.5, 0.999))
    assert (config.context_length, config.reduction, config.hidden, config.context) == (12, 4, 128, True)
    assert (config.temperature, config.sigma, config.top_patches) == (0.07, 4.0, 10)
    with pytest.raises(ValidationError, match="train_batch_size"):
        Config(train_batch_size=1)


def test_prompts_are_context_and_a_full_stop(clip: Any, make: Build) -> None:
    learner = make(context_length=3)
    dot, embeddings = clip.text.ids("."), learner.textual_learner(learner._words)
    assert embeddings.shape == (2, 6, 128)
    assert torch.equal(embeddings[1, 1:4], learner.textual_learner.ctx_neg[0, 0])
    assert torch.equal(embeddings[0, 4:], clip.text.embed(dot[1:]))


def test_fixed_prompts_are_means_of_features_of_any_length(clip: Any, make: Build) -> None:
    texts = [f"a photo of a {state}." for state in ("object", "flawless object")]
    assert clip.text.encode_strings(texts).norm(dim=1).unique().numel() == 2
    learner = make()
    fixed = learner.fixed_features()
    torch.testing.assert_close(fixed.norm(dim=1), torch.ones(2))
    assert make().fixed_features() is fixed


def test_the_class_token_counts_in_the_batch_norm_of_the_visual_adapter() -> None:
    torch.manual_seed(0)
    mlp, x = ResidualMlp(8, 2), torch.randn(2, 5, 8)
    hidden = x.flatten(0, 1) @ mlp.fc[0].weight.T
    mlp(x)
    torch.testing.assert_close(mlp.fc[1].running_mean, 0.1 * hidden.mean(0))


def test_comparing_adapter_by_hand() -> None:
    torch.manual_seed(0)
    q, a = torch.randn(2, 6, 3, 3), torch.randn(2, 6, 3, 3)
    for context in (True, False):
        adapter = ComparingAdapter(2, 6, 8, top=4, context=context).eval()
        fused = adapter.sharebn[1]((q if context else 0) + (q - a).abs())
        pooled = fused.flatten(2)
        both = (pooled.mean(2) + pooled.sort(dim=2, descending=True).values[:, :, :4].mean(2)) / 2
        image, grid = adapter(1, q, a)
        logits = adapter.global_adapter[0](both)
        torch.testing.assert_close(image, logits[:, 1] - logits[:, 0])
        assert grid.shape == (2, 12, 12)
        torch.testing.assert_close(grid.sigmoid(), adapter.local_adapter[0](fused).softmax(1)[:, 1])


def test_layers_share_the_networks_but_not_the_norm(make: Build) -> None:
    names = [name for name, _ in make().named_parameters()]
    assert sum("sharebn" in name for name in names) == 8
    assert not any(name.startswith(("pq_learner.local_adapter.1", "pq_learner.global_adapter.1")) for name in names)


def test_nearest_of_each_images_own_memory() -> None:
    torch.manual_seed(1)
    queries = F.normalize(torch.randn(2, 5, 4), dim=-1)
    memories = [F.normalize(torch.randn(m, 4), dim=-1) for m in (3, 7)]
    distances, aligned = nearest(queries, memories)
    for i, memory in enumerate(memories):
        cosines = queries[i] @ memory.T
        assert torch.equal(aligned[i], memory[cosines.argmax(1)])
        torch.testing.assert_close(distances[i].float(), 1 - cosines.amax(1))
    assert nearest(queries, [queries[0], queries[1]])[0].min() >= 0


def test_enlarging_and_smoothing_are_those_of_stored_maps() -> None:
    grid = np.random.default_rng(0).random((5, 5))
    full = enlarge(torch.from_numpy(grid)[None], 23)
    np.testing.assert_allclose(full[0].numpy(), upsample(grid, (23, 23), "bilinear"), atol=1e-12)
    wanted = gaussian_filter(full[0].numpy(), 1.7).max()
    assert float(peak(full, 1.7)) == pytest.approx(wanted, abs=1e-12)
    assert float(peak(full, 0.0)) == float(full.max())


def test_harmonic_mean_of_a_zero_is_zero() -> None:
    values = torch.tensor([[0.0, 0.5, 1.0], [0.4, 0.5, 0.25]])
    torch.testing.assert_close(harmonic_mean(values), torch.tensor([0.0, 0.5, 0.4]))


def test_zero_shot_score_is_the_mean_of_both_adapters_and_the_peak(make: Build, features: Any) -> None:
    learner, few = make(), features.select([0, 1, 2])
    scored = learner.score(few, NAMES)
    (visual, visual_map), (textual, textual_map) = learner.visual(few), learner.textual(few)
    mean = (visual_map.sigmoid() + textual_map.sigmoid()) / 2
    torch.testing.assert_close(scored.map_logits.sigmoid(), mean)
    top = [gaussian_filter(enlarge(m, 72).numpy(), 4 * 72 / 518).max() for m in mean.detach()]
    wanted = (visual.sigmoid() + textual.sigmoid() + torch.tensor(top)) / 3
    torch.testing.assert_close(scored.score.float(), wanted.float().detach())


def test_zero_shot_scores_do_not_feel_the_comparing_adapter(make: Build, features: Any) -> None:
    learner, few = make(), features.select([0, 1, 2])
    before = learner.score(few, NAMES)
    for parameter in learner.pq_learner.parameters():
        parameter.data.add_(1)
    assert torch.equal(learner.score(few, NAMES).score, before.score)


def test_every_adapter_has_losses_of_its_own(make: Build, features: Any, make_batch: Build) -> None:
    learner = make().train()
    terms = learner.loss(make_batch(features, range(4)))
    assert set(terms) == {f"{who}_{what}" for who in ("visual", "textual", "compared") for what in ("global", "local")}
    for who, part in (("visual", "visual"), ("textual", "textual"), ("compared", "pq")):
        learner.zero_grad()
        (terms[f"{who}_global"] + terms[f"{who}_local"]).backward()
        moved = {name.partition("_")[0] for name, p in learner.named_parameters() if p.grad is not None}
        assert moved == {part}


def test_a_picture_alone_in_its_batch_reads_the_running_statistics(
    make: Build, features: Any, make_batch: Build
) -> None:
    learner = make().train()
    before = {name: value.clone() for name, value in learner.named_buffers()}
    terms = learner.loss(make_batch(features, [3]))
    assert all(term.isfinite() for term in terms.values())
    assert all(torch.equal(value, before[name]) for name, value in learner.named_buffers())
    assert learner.training
    learner.loss(make_batch(features, [3, 4]))
    assert not all(torch.equal(value, before[name]) for name, value in learner.named_buffers())


def test_losses_follow_the_reference(make: Build, features: Any, make_batch: Build) -> None:
    learner, batch = make(), make_batch(features, range(4))
    own = learner.loss(replace(batch, references=batch.features))
    other = learner.loss(batch)
    for name in own:
        assert (own[name] == other[name]) == (not name.startswith("compared"))


def test_a_remembered_picture_has_distance_zero(make: Build, features: Any, remember: Callable[..., None]) -> None:
    learner = make(shots=2)
    remember(learner, [1, 4])
    scored = learner.score(features.select([1, 2, 4]), NAMES)
    assert scored.map_logits.shape == (3, 72, 72)
    peaks = scored.map_logits.flatten(1).amax(1).sigmoid()
    assert max(peaks[0], peaks[2]) < 1e-4 < 0.05 < peaks[1]
    assert max(scored.score[0], scored.score[2]) < 1e-4 < scored.score[1]


def test_map_scale_changes_the_stored_map_and_no_score(
    make: Build, features: Any, remember: Callable[..., None]
) -> None:
    whole, coarse = make(shots=1), make(shots=1, map_scale=2)
    for learner in (whole, coarse):
        remember(learner, [5])
    few = features.select([0, 1, 2])
    assert coarse.score(few, NAMES).map_logits.shape == (3, 18, 18)
    assert torch.equal(whole.score(few, NAMES).score, coarse.score(few, NAMES).score)


def test_the_few_shot_form_has_the_learners_tensors_and_a_memory(make: Build) -> None:
    plain, few = make().checkpoint(), make(shots=1).checkpoint()
    assert few.keys() - plain.keys() == {"memory"}
    assert plain.keys() <= few.keys()
    assert (AdaptClip.few_shot, AdaptClip.few_shot_form) == (False, True)
