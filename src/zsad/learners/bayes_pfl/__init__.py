"""Bayes-PFL: Bayesian prompt flow learning (CVPR 2025, arXiv 2503.10080).

A bank of learnable prompts `context state name`. Vectors sampled from an image-specific distribution are added to the
context tokens, vectors from an image-agnostic one per polarity to the state tokens; each distribution is a Gaussian
pushed through planar flows, held near N(0, I) by a KL term. At test R samples × B prompts give as many pairs, whose
probabilities are averaged. Before the map is formed, text embeddings attend to the patches of each layer (RCA).
Training: everything but the image classifier, then the classifier alone. Official code: xiaozhen228/Bayes-PFL
(8f155a0); parameter names are its state dict's, less the decoders and `p_mu` heads that no loss reaches.

strict: fixed epochs for both stages (official: stopped by AP on test images of the opposite set); test-time noise is
drawn once and stored, the same for all images; image score ½ p + ½ (mean of the map's top pixels), per image.
paper: z of the states from the first image's noise, z of the context drawn anew for every image; the score is p alone,
to be fused with the top pixels after a min–max over each category (`image_top`).
Views: a fixed pool per picture instead of fresh augmentation in every epoch.

Shapes: N images, L patches, D joint = text width, C vision width, R samples, B prompts, P = R·B pairs (index r·B + b).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.backbone import Activation, Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.base import PAPER_SIDE, Batch, Cosine, Phase, Sample, Scored, Upsample
from zsad.learners.bayes_pfl import flows as flow
from zsad.learners.bayes_pfl import views as views
from zsad.learners.bayes_pfl.config import Config
from zsad.learners.bayes_pfl.losses import balanced_focal, global_dice, orthogonality
from zsad.learners.bayes_pfl.prompts import Words, encode_prompts, read_words
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.mosaic import MosaicLearner

HEADS = 4  # of the residual cross-attention
SMALL_TOP = (
    "capsules",
    "macaroni1",
    "macaroni2",
    "pipe_fryum",
    "screw",
    "cashew",
    "chewinggum",
)  # 20 pixels in `paper`

Draws = tuple[flow.Draw, flow.Draw, flow.Draw]  # of context, normal state, abnormal state


class BayesPfl(MosaicLearner):
    """Trained: prompt bank, temperatures, encoders, flows, RCA, classifier: 23,497,505 scalars at ViT-L."""

    Config = Config
    noise: Tensor  # [3, R, D]: test-time draws for context, normal and abnormal state, a buffer
    openai_activation: Activation = "gelu"  # type: ignore[misc]  # as the official code runs OpenAI's weights
    position_resize: PositionResize = "bicubic_antialias"  # type: ignore[misc]
    upsample: Upsample = "bilinear_corners"  # type: ignore[misc]

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        width, vision = clip.text.width, clip.image.class_embedding.shape[0]
        if width != clip.joint_width or width % HEADS:
            raise UserError(
                f"bayes_pfl adds joint vectors to tokens: widths {clip.joint_width}, {width} must agree"
                f" and be a multiple of its {HEADS} heads"
            )
        self.layers = self.read_layers(config.layers)
        self.prompt_context = nn.Parameter(torch.empty(config.bank, config.context_length, width))
        self.prompt_state_normal = nn.Parameter(torch.empty(config.bank, config.state_length, width))
        self.prompt_state_abnormal = nn.Parameter(torch.empty(config.bank, config.state_length, width))
        self.temperature_pixel = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.temperature_image = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.context_encoder, self.state_encoder = (flow.BaseEncoder(width, vision // 2) for _ in range(2))
        self.PFL_context = flow.ConditionalFlows(width, config.flows)
        self.PFL_normal, self.PFL_abnormal = flow.FreeFlows(width, config.flows), flow.FreeFlows(width, config.flows)
        self.RCA = flow.ResidualCrossAttention(vision, width, len(self.layers), HEADS)
        self.class_mapping = nn.Linear(width, width)
        if config.classifier_epochs:
            self.image_mapping = nn.Linear(width, width)
            self.fuse = flow.Fusion(vision, vision // 2, width, len(self.layers))
        self._initialise()
        self.register_buffer("noise", torch.zeros(3, config.samples, width))
        self._unstored_draws = torch.Generator().manual_seed(0)
        self._first_states: Tensor | None = None

    def _initialise(self) -> None:
        """Linear N(0, 0.02) with zero bias, but torch's default for the RCA query; prompts around 0, ½ and −½."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.RCA.q_proj_pre.reset_parameters()
        nn.init.trunc_normal_(self.prompt_context, std=0.02)
        nn.init.trunc_normal_(self.prompt_state_normal, mean=0.5, std=0.02)
        nn.init.trunc_normal_(self.prompt_state_abnormal, mean=-0.5, std=0.02)

    @property
    def spec(self) -> FeatureSpec:
        return FeatureSpec(cls_post=True, layers=self.layers)

    @property
    def map_grid(self) -> tuple[int, int]:
        return self.fine_grid(self.config.map_scale)

    @property
    def image_top(self) -> dict[str, float] | None:
        """`paper`: 2,000 pixels at 518 px, and 20 for seven categories by name."""
        if self.protocol == "strict":
            return None
        return {"": self.config.top_k / PAPER_SIDE**2, **dict.fromkeys(SMALL_TOP, 20 / PAPER_SIDE**2)}

    def draw(self, generator: torch.Generator) -> None:
        self.noise.copy_(torch.randn(self.noise.shape, generator=generator))

    def distributions(self, f_ND: Tensor, noise: Sequence[Tensor]) -> Draws:
        """Samples of context (per image), normal and abnormal state (one for all); noise [N or 1, R, D] each."""
        return self._context(f_ND, noise[0]), *self._states(noise[1:])

    def _context(self, f_ND: Tensor, noise: Tensor) -> flow.Draw:
        return flow.push(self.context_encoder(f_ND), self.PFL_context(f_ND), noise)

    def _states(self, noise: Sequence[Tensor]) -> tuple[flow.Draw, flow.Draw]:
        normal, abnormal = (
            flow.push(self.state_encoder(flows.state), flows(), epsilon)
            for flows, epsilon in zip((self.PFL_normal, self.PFL_abnormal), noise, strict=True)
        )
        return normal, abnormal

    @fixed
    def stored_states(self) -> tuple[flow.Draw, flow.Draw]:
        """Samples of both states from the stored noise."""
        return self._states((self.noise[1:2], self.noise[2:]))

    def text_features(self, names: Sequence[str], z: Sequence[Tensor], bank: slice = slice(None)) -> Tensor:
        """Unit text features [N, 2, R·B, D], normal first; z: context, normal, abnormal, [N or 1, R, D] each.

        bank: which of the prompts, default all.
        """
        context = self.prompt_context[bank] + z[0][:, :, None, None]  # [N, R, B, tokens, C]
        states = torch.stack([self.prompt_state_normal, self.prompt_state_abnormal], dim=1)[bank]  # [B, 2, tokens, C]
        bias = torch.stack([z[1], z[2]], dim=2).expand(z[0].shape[0], -1, -1, -1)  # [N, R, 2, D]
        return encode_prompts(self.clip.text, context, states + bias[:, :, None, :, None], self.words(tuple(names)))

    @fixed
    def words(self, names: tuple[str, ...]) -> Words:
        """What of the prompts is not learned."""
        return read_words(self.clip.text, names, self.prompt_context.shape[1] + self.prompt_state_normal.shape[1])

    def image_logits(self, image_ND: Tensor, text_N2PD: Tensor) -> Tensor:
        """Log-odds of anomalous [N, P] of each pair of prompts; `image`: f, or what `classifier_image` makes of it."""
        normal, abnormal = F.normalize(self.class_mapping(text_N2PD), dim=-1).unbind(1)
        g_ND = F.normalize(image_ND, dim=-1)
        return self.temperature_image.exp() * ((abnormal - normal) @ g_ND[..., None])[..., 0]

    def classifier_image(self, features: ImageFeatures) -> Tensor:
        """The second stage's image feature [N, D]: a mapping of f plus the fused patches of all layers."""
        return self.image_mapping(features.cls_post + self.fuse([features.layer(layer) for layer in self.layers]))

    def patch_logits(self, features: ImageFeatures, text_N2PD: Tensor, index: int) -> Tensor:
        """Log-odds of anomalous [N, P, g, g] from one of the layers, before upsampling."""
        updated, s_NLD = self.RCA(text_N2PD.flatten(1, 2), features.layer(self.layers[index]), index)
        normal, abnormal = updated.unflatten(1, (2, -1)).unbind(1)
        return self.as_map(self.temperature_pixel.exp() * ((abnormal - normal) @ s_NLD.transpose(1, 2)))

    def view(self, sample: Sample, anomalous: Sequence[Callable[[], Sample]], generator: np.random.Generator) -> Sample:
        return views.augment(super().view(sample, anomalous, generator), generator)

    def phases(self) -> Sequence[Phase]:
        """Stage 1 on a cosine over the epochs of both stages; stage 2: the classifier alone, at a constant rate."""
        config = self.config
        prompts = [self.prompt_context, self.prompt_state_normal, self.prompt_state_abnormal]
        flows = parameters(self.PFL_context, self.PFL_normal, self.PFL_abnormal)
        linear = parameters(self.context_encoder, self.state_encoder, self.RCA, self.class_mapping)
        groups = [
            {"params": prompts, "lr": config.lr},
            {"params": [self.temperature_pixel, self.temperature_image], "lr": config.lr_temperature},
            {"params": flows, "lr": config.lr_flow},
            {"params": linear, "lr": config.lr_linear},
        ]
        whole = Cosine(config.epochs + config.classifier_epochs, config.warmup)
        first = Phase(config.epochs, groups, self.loss, whole)
        if not config.classifier_epochs:
            return (first,)
        classifier = parameters(self.class_mapping, self.image_mapping, self.fuse)
        return first, Phase(
            config.classifier_epochs, [{"params": classifier, "lr": config.lr_linear}], self.classifier_loss
        )

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 1: L_cls + L_seg + L_dist + L_ort, the first two from one prompt pair of the bank, drawn per step."""
        draws, index = self._training_draws(batch)
        text_N2BD = self.text_features(batch.names, [draw.z for draw in draws])
        pair = text_N2BD[:, :, index : index + 1]
        logits_N = self.image_logits(batch.features.cls_post, pair)[:, 0]
        share = len(batch.labels) if self.config.state_logdet_over_batch else 1
        divergence = flow.divergence(draws[0]) + sum(flow.divergence(state, share) for state in draws[1:])
        return {
            "cls": F.binary_cross_entropy_with_logits(logits_N, batch.labels.float()),
            "seg": self._segmentation(batch, pair),
            "dist": self.config.kl_weight * divergence,
            "ort": orthogonality(text_N2BD[:, 0]) + orthogonality(text_N2BD[:, 1]),
        }

    def classifier_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 2: L_cls of the mapped image feature."""
        draws, index = self._training_draws(batch)
        pair = self.text_features(batch.names, [draw.z for draw in draws], slice(index, index + 1))
        logits_N = self.image_logits(self.classifier_image(batch.features), pair)[:, 0]
        return {"cls": F.binary_cross_entropy_with_logits(logits_N, batch.labels.float())}

    def _training_draws(self, batch: Batch) -> tuple[Draws, int]:
        """One sample of each distribution, and which prompts of the bank the step takes."""
        f_ND = batch.features.cls_post
        noise = [torch.randn(n, 1, f_ND.shape[1]).to(f_ND) for n in (len(f_ND), 1, 1)]
        index = int(torch.randint(self.config.bank, (1,)))
        return self.distributions(f_ND, noise), index

    def _segmentation(self, batch: Batch, pair_N21D: Tensor) -> Tensor:
        """Focal + dice, summed over layers, of the maps at the masks' size (softmax follows upsampling)."""
        total = batch.masks.new_zeros(())
        for index in range(len(self.layers)):
            logits = enlarge(self.patch_logits(batch.features, pair_N21D, index), batch.masks.shape[-2:])[:, 0]
            total = total + balanced_focal(logits, batch.masks) + global_dice(logits.sigmoid(), batch.masks)
        return total

    def test_noise(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Noise [count or 1, R, D] for context, normal, abnormal: stored (strict), or as the official test draws it."""
        if self.protocol == "strict":
            return self.noise[:1], self.noise[1:2], self.noise[2:]
        drawn = torch.randn((count, *self.noise.shape), generator=self._unstored_draws).to(self.noise)
        if self._first_states is None:
            self._first_states = drawn[0, 1:]
        return drawn[:, 0], self._first_states[:1], self._first_states[1:]

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        f_ND = features.cls_post
        noise = self.test_noise(f_ND.shape[0])
        states = self.stored_states() if self.protocol == "strict" else self._states(noise[1:])
        draws = (self._context(f_ND, noise[0]), *states)
        text_N2PD = self.text_features(names, [draw.z for draw in draws])
        image_ND = self.classifier_image(features) if self.config.classifier_epochs else f_ND
        p_N = self.image_logits(image_ND, text_N2PD).double().sigmoid().mean(1)
        map_logits = self._map_logits(features, text_N2PD)
        if self.protocol == "paper":
            return Scored(p_N, map_logits)
        values = map_logits.double().sigmoid().flatten(1)
        top_N = values.topk(max(1, round(self.config.top_k * values.shape[1] / PAPER_SIDE**2))).values.mean(1)
        return Scored((1 - self.config.top_weight) * p_N + self.config.top_weight * top_N, map_logits)

    def _map_logits(self, features: ImageFeatures, text_N2PD: Tensor) -> Tensor:
        """Log-odds [N, h, w] of the mean probability over layers and pairs.

        Both classes are summed, so that log-odds keep their precision where a float32 probability would be 1.
        """
        anomalous = normal = torch.zeros((), device=text_N2PD.device)
        for index in range(len(self.layers)):
            logits = enlarge(self.patch_logits(features, text_N2PD, index), self.map_grid)
            anomalous = anomalous + logits.sigmoid().mean(1)
            normal = normal + logits.neg_().sigmoid_().mean(1)  # in place: every pair has a map at full size
        tiny = torch.finfo(normal.dtype).tiny
        return anomalous.clamp_min(tiny).log() - normal.clamp_min(tiny).log()


def enlarge(logits_NPgg: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners aligned: [N, P, *size]."""
    return F.interpolate(logits_NPgg, size=tuple(size), mode="bilinear", align_corners=True)


def parameters(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of these modules."""
    return [parameter for module in modules for parameter in module.parameters()]
