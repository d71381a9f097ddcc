"""The tolerances are sharp: with one equation of a method changed, the comparison with its golden tensors fails.

Each case runs a test of this folder on the changed method, and names the quantity that must be the first to be off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.parity import (
    test_aa_clip,
    test_ada_clip,
    test_adapt_clip,
    test_anomalyclip,
    test_april_gan,
    test_bayes_pfl,
    test_cops,
    test_faprompt,
)
from zsad.learners import aa_clip, ada_clip, adapt_clip, anomalyclip, april_gan, bayes_pfl, cops, faprompt
from zsad.learners.bayes_pfl import flows
from zsad.learners.shared import losses, similarity
from zsad.training import loop

Patch = pytest.MonkeyPatch
STEPS = 3  # of a golden training


@dataclass(frozen=True)
class Case:
    """What the tests of this folder take as fixtures."""

    build: Callable[..., Any]
    backbone: Callable[..., Any]
    clip: Any
    pictures: Tensor
    make_batch: Callable[..., Any]
    run_steps: Callable[..., Any]
    patch: Patch

    def features(self, method: str) -> Any:
        return self.clip.image.encode(self.pictures, self.build(method).spec)


@pytest.fixture
def case(build, backbone, clip, pictures, make_batch, run_steps, monkeypatch) -> Case:
    return Case(build, backbone, clip, pictures, make_batch, run_steps, monkeypatch)


# --- tests of this folder --------------------------------------------------------------------------------------------


def aa_clip_text(case: Case) -> None:
    test_aa_clip.test_text_prototypes(_aa_clip(case)[0])


def aa_clip_first_stage(case: Case) -> None:
    make, batches = _aa_clip(case)
    test_aa_clip.test_stage_1_patches_losses_gradients_and_three_optimiser_steps(
        make, batches, case.run_steps, "pictures"
    )


def aa_clip_second_stage(case: Case) -> None:
    make, batches = _aa_clip(case)
    test_aa_clip.test_stage_2_losses_gradients_and_three_optimiser_steps(make, batches, case.run_steps)


def aa_clip_scores(case: Case) -> None:
    clip = test_aa_clip.golden_clip(case.backbone)
    make = partial(case.build, "aa_clip", clip=clip, **test_aa_clip.SETTINGS)
    test_aa_clip.test_map_and_score_of_the_official_test(
        make, clip.image.encode(case.pictures, make().spec), False, "mvtec", "industrial"
    )


def _aa_clip(case: Case) -> tuple[Callable[..., Any], Any]:
    clip = test_aa_clip.golden_clip(case.backbone)
    make = partial(case.build, "aa_clip", clip=clip, **test_aa_clip.SETTINGS)
    features = clip.image.encode(case.pictures, make().training_spec)
    return make, test_aa_clip.golden_batches(features, case.make_batch)


def ada_clip_features(case: Case) -> None:
    test_ada_clip.test_features_of_the_prompted_towers(*_ada_clip(case))


def ada_clip_scores(case: Case) -> None:
    test_ada_clip.test_map_and_score(*_ada_clip(case))


def ada_clip_training(case: Case) -> None:
    test_ada_clip.test_losses_gradients_and_three_optimiser_steps(*_ada_clip(case), case.make_batch, case.run_steps)


def _ada_clip(case: Case) -> tuple[Callable[..., Any], Any]:
    case.patch.setattr(ada_clip.fusion, "cluster", test_ada_clip.fixed_clusters)
    clip = test_ada_clip.golden_clip(case.backbone)
    make = partial(case.build, "ada_clip", clip=clip, clusters=test_ada_clip.CLUSTERS)
    return make, clip.image.encode(case.pictures, make().spec)


def anomalyclip_training(case: Case) -> None:
    test_anomalyclip.test_losses_gradients_and_three_optimiser_steps(
        case.features("anomalyclip"), case.build, case.make_batch, case.run_steps
    )


def anomalyclip_scores(case: Case) -> None:
    test_anomalyclip.test_score_and_map(case.features("anomalyclip"), case.build)


def adapt_clip_scores(case: Case) -> None:
    make, features = _adapt_clip(case)
    test_adapt_clip.test_map_and_score(make, case.clip, case.pictures, features, shots=2)


def adapt_clip_statistics(case: Case) -> None:
    test_adapt_clip.test_running_statistics_after_a_step(*_adapt_clip(case), case.make_batch)


def adapt_clip_training(case: Case) -> None:
    make, features = _adapt_clip(case)
    test_adapt_clip.test_losses_gradients_and_three_optimiser_steps(make, features, case.make_batch, case.run_steps)


def _adapt_clip(case: Case) -> tuple[Callable[..., Any], Any]:
    make = partial(case.build, "adapt_clip", **test_adapt_clip.SETTINGS)
    return make, case.clip.image.encode(case.pictures, make().training_spec)


def april_gan_scores(case: Case) -> None:
    make, features = _april_gan(case)
    test_april_gan.test_score_and_map(features, make)


def april_gan_training(case: Case) -> None:
    make, features = _april_gan(case)
    test_april_gan.test_losses_gradients_and_three_optimiser_steps(features, make, case.make_batch, case.run_steps)


def _april_gan(case: Case) -> tuple[Callable[..., Any], Any]:
    clip = test_april_gan.golden_clip(case.backbone)
    make = partial(case.build, "april_gan", clip=clip)
    return make, clip.image.encode(case.pictures, make().spec)


def cops_text(case: Case) -> None:
    test_cops.test_prototypes_and_text_features(case.features("cops"), case.build)


def cops_scores(case: Case) -> None:
    test_cops.test_score_and_map(case.features("cops"), case.build, case.patch, "mvtec")


def cops_training(case: Case) -> None:
    test_cops.test_losses_gradients_and_three_optimiser_steps(
        case.features("cops"), case.build, case.make_batch, case.run_steps, case.patch, "visa"
    )


def faprompt_scores(case: Case) -> None:
    test_faprompt.test_score_and_map(case.features("faprompt"), case.build, "topk")


def faprompt_training(case: Case) -> None:
    test_faprompt.test_losses_gradients_and_three_optimiser_steps(
        case.features("faprompt"), case.build, case.make_batch, case.run_steps, "topk"
    )


def bayes_pfl_flows(case: Case) -> None:
    make, features = _bayes_pfl(case)
    test_bayes_pfl.test_flows_and_log_determinants(make, features, test_bayes_pfl.golden_noise())


def bayes_pfl_training(case: Case) -> None:
    make, features = _bayes_pfl(case)
    test_bayes_pfl.test_both_stages_losses_gradients_and_optimiser_steps(
        make, features, case.make_batch, test_bayes_pfl.golden_noise(), case.patch
    )


def _bayes_pfl(case: Case) -> tuple[Callable[..., Any], Any]:
    clip = test_bayes_pfl.golden_clip(case.backbone)
    make = partial(test_bayes_pfl.golden_learner, case.build, clip)
    return make, clip.image.encode(case.pictures, make().spec)


# --- wrong equations -------------------------------------------------------------------------------------------------


def adapters_not_stretched(patch: Patch) -> None:
    def plain(adapters: Any, share: float) -> Any:
        return lambda i, x: share * adapters[i](x) + (1 - share) * x if i < len(adapters) else x

    patch.setattr(aa_clip, "residual", plain)


def cosine_not_squared(patch: Patch) -> None:
    right = aa_clip.AaClip.text_loss

    def off(self: Any, batch: Any) -> dict[str, Tensor]:
        terms = right(self, batch)
        return {**terms, "orthogonal": terms["orthogonal"].sqrt()}

    patch.setattr(aa_clip.AaClip, "text_loss", off)


def surgery_over_patches(patch: Patch) -> None:
    patch.setattr(aa_clip.AaClip, "_surgery", lambda self, i, block, x: aa_clip.value_value(block, block.qkv(x)[2]))


def image_term_a_thousandth_off(patch: Patch) -> None:
    _scale_term(patch, aa_clip.AaClip, "cls", 1.001)


def filter_a_hundredth_narrower(patch: Patch) -> None:
    right = aa_clip.blurred
    patch.setattr(aa_clip, "blurred", lambda maps, sigma: right(maps, 0.99 * sigma))


def clusters_of_the_last_layer(patch: Patch) -> None:
    right = ada_clip.semantic_fusion
    patch.setattr(ada_clip, "semantic_fusion", lambda layers, *rest: right(layers[-1:], *rest))


def prompts_moved_by_one_block(patch: Patch) -> None:
    right = ada_clip.StaticPrompts.at
    patch.setattr(ada_clip.StaticPrompts, "at", lambda self, i: right(self, min(i + 1, 3)))


def dice_over_the_whole_map(patch: Patch) -> None:
    patch.setattr(ada_clip.AdaClip, "_segmentation", lambda self, p, mask: losses.segmentation_loss(p, mask))


def plain_adam(patch: Patch) -> None:
    right = loop.make_adam

    def off(phase: Any, betas: tuple[float, float]) -> torch.optim.Adam:
        optimizer = right(phase, betas)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0
        return optimizer

    patch.setattr(loop, "make_adam", off)


def focal_loss_smoothed_more(patch: Patch) -> None:
    patch.setattr(losses, "focal_loss", partial(losses.focal_loss, smooth=1e-4))


def temperature_a_thousandth_off(patch: Patch) -> None:
    def off(features: Tensor, normal: Tensor, anomalous: Tensor, temperature: float) -> Tensor:
        return similarity.two_way_logit(features, normal, anomalous, 1.001 * temperature)

    patch.setattr(anomalyclip, "two_way_logit", off)


def blocks_averaged_as_log_odds(patch: Patch) -> None:
    patch.setattr(april_gan, "mean_log_odds", lambda logits: logits.mean(0))


def layers_averaged_arithmetically(patch: Patch) -> None:
    right = adapt_clip.harmonic_mean
    patch.setattr(adapt_clip, "harmonic_mean", lambda x: x.mean(0) if len(x) > 2 else right(x))


def class_token_kept_from_the_norm(patch: Patch) -> None:
    right = adapt_clip.adapters.ResidualMlp.forward
    patch.setattr(
        adapt_clip.adapters.ResidualMlp,
        "forward",
        lambda self, x: right(self, x) if x.dim() == 2 else torch.cat([x[:, :1], right(self, x[:, 1:])], dim=1),
    )


def difference_without_its_patch(patch: Patch) -> None:
    right = adapt_clip.ComparingAdapter.forward

    def alone(self: Any, layer: int, query: Tensor, aligned: Tensor) -> Any:
        self.context = False
        return right(self, layer, query, aligned)

    patch.setattr(adapt_clip.ComparingAdapter, "forward", alone)


def dice_of_both_channels(patch: Patch) -> None:
    right = losses.dice_loss
    patch.setattr(april_gan, "dice_loss", lambda p, mask: (right(p, mask) + right(1 - p, 1 - mask)) / 2)


def prototypes_paired_straight(patch: Patch) -> None:
    right = cops.Cops.text_features
    patch.setattr(cops.Cops, "text_features", lambda self, n, a, bias: right(self, a, n, bias))


def kl_without_its_half(patch: Patch) -> None:
    _scale_term(patch, cops.Cops, "kl", 2.0)


def segmentation_weight_a_thousandth_off(patch: Patch) -> None:
    _scale_term(patch, cops.Cops, "seg", 1.001)


def distances_not_stretched(patch: Patch) -> None:
    patch.setattr(cops, "min_max", lambda distances: distances)


def orthogonality_of_squared_cosines(patch: Patch) -> None:
    def squared(abnormal: Tensor) -> Tensor:
        unit = torch.nn.functional.normalize(abnormal, dim=-1)
        return (unit @ unit.T).triu(1).square().sum()

    patch.setattr(faprompt, "orthogonality_loss", squared)


def passes_weighed_alike(patch: Patch) -> None:
    def alike(image: Tensor, static: Tensor, adapted: Tensor) -> Tensor:
        return (image.sigmoid() + (static.amax(1).sigmoid() + adapted.amax(1).sigmoid()) / 2) / 2

    patch.setattr(faprompt, "image_score", alike)


def prior_over_all_images(patch: Patch) -> None:
    patch.setattr(faprompt, "prior_loss", lambda bias, labels: bias.square().mean(1).sum())


def log_det_of_the_other_sign(patch: Patch) -> None:
    right = flows.Planar.transform
    patch.setattr(flows.Planar, "transform", lambda self, z: (right(self, z)[0], -right(self, z)[1]))


def log_det_not_shared(patch: Patch) -> None:
    right = flows.divergence
    patch.setattr(flows, "divergence", lambda draw, share=1: right(draw))


def orthogonality_with_the_diagonal(patch: Patch) -> None:
    patch.setattr(bayes_pfl, "orthogonality", lambda text: ((text @ text.transpose(1, 2)) ** 2).mean())


def adam_with_its_usual_betas(patch: Patch) -> None:
    right = loop.make_adam
    patch.setattr(loop, "make_adam", lambda phase, betas: right(phase, (0.9, 0.999)))


def learning_rate_half_a_percent_off(patch: Patch, from_step: int = 0) -> None:
    right = loop.make_adam

    def off(phase: Any, betas: tuple[float, float]) -> torch.optim.Adam:
        optimizer, taken = right(phase, betas), iter(range(STEPS))

        def longer(*_: Any) -> None:
            if next(taken) == from_step:
                for group in optimizer.param_groups:
                    group["lr"] *= 1.005

        optimizer.register_step_pre_hook(longer)
        return optimizer

    patch.setattr(loop, "make_adam", off)


def last_step_half_a_percent_longer(patch: Patch) -> None:
    """No loss follows that could show it."""
    learning_rate_half_a_percent_off(patch, from_step=STEPS - 1)


def _scale_term(patch: Patch, kind: type, term: str, factor: float) -> None:
    right = kind.loss

    def scaled(self: Any, batch: Any) -> dict[str, Tensor]:
        terms = right(self, batch)
        return {**terms, term: factor * terms[term]}

    patch.setattr(kind, "loss", scaled)


CASES = [
    (prompts_moved_by_one_block, ada_clip_features, "layers"),
    (clusters_of_the_last_layer, ada_clip_scores, "score"),
    (dice_over_the_whole_map, ada_clip_training, "loss seg, step 0"),
    (plain_adam, ada_clip_training, "(loss|value)"),
    (layers_averaged_arithmetically, adapt_clip_scores, "score"),
    (class_token_kept_from_the_norm, adapt_clip_statistics, "visual_learner.local_adater"),
    (difference_without_its_patch, adapt_clip_training, "loss compared_global, step 0"),
    (adapters_not_stretched, aa_clip_text, "text"),
    (surgery_over_patches, aa_clip_first_stage, "frozen patches"),
    (cosine_not_squared, aa_clip_first_stage, "loss orthogonal, step 0"),
    (image_term_a_thousandth_off, aa_clip_second_stage, "loss cls, step 0"),
    (filter_a_hundredth_narrower, aa_clip_scores, "map"),
    (focal_loss_smoothed_more, anomalyclip_training, "loss local, step 0"),
    (temperature_a_thousandth_off, anomalyclip_scores, "score"),
    (blocks_averaged_as_log_odds, april_gan_scores, "map"),
    (dice_of_both_channels, april_gan_training, "loss dice, step 0"),
    (prototypes_paired_straight, cops_text, "text"),
    (distances_not_stretched, cops_scores, "score"),
    (kl_without_its_half, cops_training, "loss kl, step 0"),
    (segmentation_weight_a_thousandth_off, cops_training, "loss seg4th, step 0"),
    (passes_weighed_alike, faprompt_scores, "score"),
    (orthogonality_of_squared_cosines, faprompt_training, "loss orthogonal, step 0"),
    (prior_over_all_images, faprompt_training, "loss prior, step 0"),
    (log_det_of_the_other_sign, bayes_pfl_flows, "log-determinants of distribution 0"),
    (log_det_not_shared, bayes_pfl_training, "loss dist, step 0"),
    (orthogonality_with_the_diagonal, bayes_pfl_training, "loss ort, step 0"),
    (adam_with_its_usual_betas, faprompt_training, "loss static, step 2"),
    (learning_rate_half_a_percent_off, faprompt_training, "loss .*, step 1"),
    (last_step_half_a_percent_longer, faprompt_training, "value of ctx_pos"),
]


@pytest.mark.parametrize(("mutate", "parity", "quantity"), CASES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_wrong_equation_is_found(case: Case, mutate: Callable, parity: Callable, quantity: str) -> None:
    mutate(case.patch)
    with pytest.raises(AssertionError, match=f"^{quantity}.* units off"):
        parity(case)
