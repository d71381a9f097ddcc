"""APT (reconstruction): adaptive prompt tuning with semantic alignment (Chen et al. 2025, arXiv 2508.16157).

No code was published, and of this paper and its predecessor (arXiv 2406.18197) only abstracts and third-party summaries
were accessible: **what follows is a reconstruction**, and its numbers are not the authors'. docs/methods/apt.md says
which choice is stated, borrowed or ours; each is a setting.

One normal and one abnormal soft prompt per category, learned from k normal pictures. Anomalies are noise on random
regions of the object. Where the gradient of their loss opposes the one that keeps the predictions near those of a
meta-prompt of general words, it is corrected (form of ProGrad); the meta-prompt moves towards the learned prompts
between rounds. Patches come from a stream that keeps places apart. Nothing but the prompts is trained.
`strict` and `paper` are the same: there is no official code.
Shapes: B pictures, N patches, D joint width, C vision width, M learned tokens, k shots.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad.clip.backbone import Clip, FeatureSpec, ImageFeatures
from zsad.clip.locality import Locality
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.apt.anomalies import object_mask
from zsad.learners.apt.config import Config
from zsad.learners.apt.rounds import Rounds
from zsad.learners.apt.views import Maker, enlarge, logits
from zsad.learners.base import Scored, scaled
from zsad.learners.few_shot import FewShotLearner, Support, check_length

META = "a photo of a {} object."
STATES = (("normal", "flawless", "perfect"), ("abnormal", "damaged", "defective", "flawed"))
OBJECT = ("a photo of a plain background.", "a photo of an object.")
MEMORY_LAYERS, MEMORY_DEPTH = (3, 8), 12


class Apt(FewShotLearner):
    """Trained: ctx_normal, ctx_abnormal [bank, M, C of text]. Scoring reads `text_features` and the memory alone."""

    Config = Config  # type: ignore[assignment]  # adapted, not trained on a source
    meta0: Tensor  # [2, D], like the two below: unit features, normal then abnormal
    meta: Tensor
    text_features: Tensor

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict", shots: int = 1) -> None:
        super().__init__(config, clip, protocol, shots)
        self.start = self._first_local_block()
        self.layers = self._memory_layers()
        shape = (config.bank, config.context_length, clip.text.width)
        self.ctx_normal, self.ctx_abnormal = (nn.Parameter(0.02 * torch.randn(shape)) for _ in range(2))
        if config.init == "meta":
            self._write_words()
        for name in ("meta0", "meta", "text_features"):
            self.register_buffer(name, torch.zeros(2, clip.joint_width))
        remembered = (shots * clip.grid**2, clip.image.class_embedding.shape[0])
        for layer in self.layers:
            self.register_buffer(f"memory_{layer}", torch.zeros(remembered))

    def _first_local_block(self) -> int:
        blocks = len(self.clip.image.blocks)
        start = blocks // 2 if self.config.local_start is None else self.config.local_start
        if start >= blocks:
            raise UserError(f"local_start {start}: the image tower has blocks 0 to {blocks - 1}")
        return start

    def _memory_layers(self) -> tuple[int, ...]:
        blocks = len(self.clip.image.blocks)
        if not self.config.memory:
            return ()
        if self.config.memory_layers is None:
            return tuple(sorted({max(1, scaled(layer, MEMORY_DEPTH, blocks)) for layer in MEMORY_LAYERS}))
        if any(not 1 <= layer <= blocks for layer in self.config.memory_layers):
            raise UserError(
                f"memory_layers {list(self.config.memory_layers)}: the image tower has blocks 1 to {blocks}"
            )
        return self.config.memory_layers

    @torch.no_grad()
    def _write_words(self) -> None:
        """The meta-prompt's words into the last places of each context: what stands before the class token."""
        text, whole = self.clip.text, self.config.class_token == "none"
        for context, states in zip((self.ctx_normal, self.ctx_abnormal), STATES, strict=True):
            for i, prompt in enumerate(context):
                sentence = META.format(states[i % len(states)])
                words = text.embed(text.ids(sentence if whole else sentence.removesuffix(" object."))[1:-1])
                words = words[-len(prompt) :].to(prompt)
                prompt[len(prompt) - len(words) :] = words

    @property
    def spec(self) -> FeatureSpec:
        if self.config.local == "vv":
            return FeatureSpec(cls_post=True, vv_start=self.start, layers=self.layers)
        window = Locality(self.start, self.config.local_radius)
        vanilla = Locality(len(self.clip.image.blocks), None)
        local = window if self.config.local == "window" else vanilla
        return FeatureSpec(cls_post=True, local=local, layers=self.layers)

    @property
    def map_grid(self) -> tuple[int, int]:
        return self.fine_grid(self.config.map_scale)

    @property
    def adapts_to_name(self) -> bool:
        return bool(self.config.class_token == "class_name")

    def class_token(self, name: str) -> Tensor:
        """Embeddings [T, C] of SOT, the words behind the learned tokens, EOT."""
        word = {"object": "object", "class_name": name, "none": ""}[self.config.class_token]
        ids = self.clip.text.ids(word)
        check_length(name, self.config.context_length + len(ids), self.clip.text)
        return self.clip.text.embed(ids)

    def encode_prompts(self, words: Tensor, normal: Tensor, abnormal: Tensor) -> Tensor:
        """Unit features […, 2, D] of contexts […, bank, M, C] before the `class_token`."""
        contexts = torch.stack([normal, abnormal], dim=-4)
        first, last = (part.expand(*contexts.shape[:-2], -1, -1) for part in (words[:1], words[1:]))
        prompts = torch.cat([first, contexts, last], dim=-2)
        features = self.clip.text.encode(prompts.flatten(0, -3)).unflatten(0, contexts.shape[:-2])
        return F.normalize(features.mean(-2), dim=-1)

    @torch.no_grad()
    def meta_prompt(self) -> Tensor:
        """T_0 [2, D]: unit mean of the unit features of general sentences, the same for every category."""
        means = [
            F.normalize(self.clip.text.encode_strings([META.format(state) for state in states]), dim=-1).mean(0)
            for states in STATES
        ]
        return F.normalize(torch.stack(means), dim=-1)

    def tokens(self, features: ImageFeatures) -> Tensor:
        """Unit features [B, N+1, D] of the patches, then of the picture."""
        patches = features.patches if self.config.local == "vv" else features.local
        return F.normalize(torch.cat([patches, features.cls_post[:, None]], dim=1), dim=-1)

    def adapt(self, support: Support) -> Iterator[dict[str, float]]:
        """Yields, per epoch, the mean terms of the loss: syn = seg + cls, meta; and conflict, a share of the steps."""
        features = support.encode(support.pictures)
        for layer in self.layers:
            getattr(self, f"memory_{layer}").copy_(F.normalize(features.layer(layer), dim=-1).flatten(0, 1))
        self.meta0.copy_(self.meta_prompt())
        self.meta.copy_(self.meta0)
        self.text_features.copy_(self.meta0)
        if not self.config.epochs:
            return
        rounds = self._rounds(support, self.tokens(features))
        for terms in rounds.run():
            self.meta.copy_(rounds.meta)
            self.text_features.copy_(rounds.learned)
            yield terms

    def _rounds(self, support: Support, clean: Tensor) -> Rounds:
        config = self.config
        maker = Maker(
            pictures=support.pictures,
            objects=self.objects(clean),
            clean=clean,
            encode=lambda pictures: self.tokens(support.encode(pictures)),
            side=self.fine_grid(config.loss_scale)[0],
            noise=config.feature_noise if config.noise_space == "feature" else None,
        )
        return Rounds(
            config=config,
            contexts=(self.ctx_normal, self.ctx_abnormal),
            encode_prompts=partial(self.encode_prompts, self.class_token(support.name)),
            scale=self.clip.logit_scale,
            maker=maker,
            seed=support.seed,
            anchor=self.meta0,
        )

    @torch.no_grad()
    def objects(self, clean: Tensor) -> list[np.ndarray]:
        """Where the object is in each support picture, bool [S, S]; all true for textures. `clean`: their tokens."""
        side = self.clip.image_size
        if not self.config.object_mask:
            return [np.ones((side, side), bool)] * len(clean)
        words = F.normalize(self.clip.text.encode_strings(OBJECT), dim=-1)
        maps = enlarge(logits(clean, words, self.clip.logit_scale)[:, :-1], side).sigmoid().cpu().numpy()
        return [object_mask(probability, self.config.object_gap) for probability in maps]

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        """Image score: half from the picture's feature, half the largest value of its map before smoothing."""
        odds = logits(self.tokens(features), self.text_features, self.clip.logit_scale)
        full = self._map(odds, features, self.clip.image_size)
        stored = full if self.map_grid[0] == self.clip.image_size else self._map(odds, features, self.map_grid[0])
        return Scored((odds[:, -1].double().sigmoid() + full.flatten(1).amax(1).sigmoid()) / 2, stored)

    def _map(self, odds: Tensor, features: ImageFeatures, side: int) -> Tensor:
        """Log-odds [B, side, side], float64; with memory of 1 / (1/a + 1/d), which lies below one half."""
        own = enlarge(odds[:, :-1], side).double()
        if not self.layers:
            return own
        a, d = own.sigmoid(), enlarge(self._distance(features), side).double()
        fused = a * d / (a + d)
        return fused.log() - (-fused).log1p()

    def _distance(self, features: ImageFeatures) -> Tensor:
        """½(1 − largest cosine with a remembered patch) [B, N], mean over layers (borrowed from PromptAD)."""
        distances = [
            (1 - (F.normalize(features.layer(layer), dim=-1) @ getattr(self, f"memory_{layer}").T).amax(-1)) / 2
            for layer in self.layers
        ]
        return torch.stack(distances).mean(0).clamp_min(1e-6)  # a patch that is remembered may lie below 0 by rounding
