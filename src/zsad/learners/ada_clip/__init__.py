"""AdaCLIP: static and dynamic prompts in both towers (Cao et al., ECCV 2024, arXiv 2407.15795).

Prompts are learned tokens (static) plus linear maps of CLIP's own feature of the picture (dynamic). In the image tower
they are appended before the first block and replaced before the next; in the text tower they overwrite the positions
after SOT. Patches and class token have projections of their own; the image feature takes a share of the mean of the
most anomalous patches' clusters (HSF). Official code: caoyunkang/AdaCLIP (e27ee32); parameter names are its state
dict's, less the text tower's first set of static prompts, which nothing reads.

strict: K-means starts from a seed that is drawn once and stored; the last of a fixed number of epochs counts (official:
the best by pixel F1 on the test set). paper: K-means starts anew for every picture, from an unseeded state.

Shapes: B images, N patches, m prompt tokens, C vision width, D joint = text width, L layers.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad.clip.adaptation import computing_in, run_blocks
from zsad.clip.backbone import Activation, Clip, FeatureSpec, ImageFeatures, PositionResize
from zsad.clip.token_tree import TokenTree, encode_tree, grow_tree
from zsad.common.errors import UserError
from zsad.config.schema import Protocol
from zsad.learners.ada_clip.config import Config
from zsad.learners.ada_clip.fusion import semantic_fusion
from zsad.learners.ada_clip.prompts import Heads, StaticPrompts, prompts
from zsad.learners.base import Batch, Phase, Scored, Upsample
from zsad.learners.shared.fixed import fixed
from zsad.learners.shared.losses import dice_loss, focal_loss
from zsad.learners.shared.mosaic import MosaicLearner


class AdaClip(MosaicLearner):
    """Trained: static prompts, the maps that make dynamic ones, projections of patches and of the class token."""

    Config = Config
    seed: Tensor  # of K-means under `strict`, a buffer
    openai_activation: Activation = "gelu"  # type: ignore[misc]  # as the official code runs OpenAI's weights
    position_resize: PositionResize = "bicubic"  # type: ignore[misc]
    upsample: Upsample = "bilinear_corners"  # type: ignore[misc]

    def __init__(self, config: Any, clip: Clip, protocol: Protocol = "strict") -> None:
        super().__init__(config, clip, protocol)
        joint, vision, width = clip.joint_width, clip.image.class_embedding.shape[0], clip.text.width
        self.layers = self.read_layers(config.layers)
        length, depth = config.prompt_length, config.depth
        blocks = min(len(clip.image.blocks), len(clip.text.blocks))
        if depth > blocks:
            raise UserError(f"depth {depth}: the shorter of both towers has {blocks} blocks")
        self.text_prompter = StaticPrompts(range(1, depth), length, width)
        self.visual_prompter = StaticPrompts(range(depth), length, vision)
        self.patch_token_layer = Heads(vision, joint, len(self.layers))
        self.cls_token_layer = Heads(joint, joint, 1)
        self.dynamic_visual_prompt_generator = Heads(joint, vision, length)
        self.dynamic_text_prompt_generator = Heads(joint, width, length)
        self.register_buffer("seed", torch.zeros(()))

    @property
    def spec(self) -> FeatureSpec:
        """Prompts come before the first block; CLIP's own feature makes the dynamic ones."""
        return FeatureSpec(entry=0, cls_post=True)

    @property
    def map_grid(self) -> tuple[int, int]:
        return self.fine_grid(self.config.map_scale)

    @property
    def not_exportable(self) -> str:
        clustered = "its image score clusters patches with scikit-learn's K-means (`clusters`), which no runtime has"
        return clustered if self.config.clusters else "its text side, with prompts of each picture, is no graph"

    def draw(self, generator: torch.Generator) -> None:
        self.seed.copy_(torch.randint(2**20, (), generator=generator))

    def phases(self) -> Sequence[Phase]:
        """AdamW: weight decay apart from the gradient."""
        decay = {"weight_decay": self.config.weight_decay, "decoupled_weight_decay": True}
        return (
            Phase(self.config.epochs, [{"params": list(self.parameters()), "lr": self.config.lr, **decay}], self.loss),
        )

    def text_features(self, names: Sequence[str], f_BD: Tensor) -> Tensor:
        """Unit prototypes [B, 2, D] of each picture, normal first: its prompts are its own."""
        dynamic_BmC = self.dynamic_text_prompt_generator(f_BD)
        if len(set(names)) == 1:
            return self._prototypes(names[0], dynamic_BmC)
        found = f_BD.new_empty(len(f_BD), 2, f_BD.shape[1])
        for name in dict.fromkeys(names):
            own = [i for i, other in enumerate(names) if other == name]
            found[own] = self._prototypes(name, dynamic_BmC[own])
        return found

    def _prototypes(self, name: str, dynamic_BmC: Tensor) -> Tensor:
        """Of pictures that all have one name: what their prompts begin with alike is run once a picture."""
        tree, normal = self._tree(name)
        tokens = [dynamic_BmC + self.text_prompter.at(i) for i in range(1, self.config.depth)]
        if self.config.prompt_fp16:
            tokens = [own.half().to(own) for own in tokens]
        features = F.normalize(encode_tree(self.clip.text, tree, dynamic_BmC, tokens), dim=-1)
        return F.normalize(torch.stack([features[:, :normal].mean(1), features[:, normal:].mean(1)], dim=1), dim=-1)

    @fixed
    def _tree(self, name: str) -> tuple[TokenTree, int]:
        """The prompts of a class name, normal ones first, and how many those are."""
        normal, anomalous = prompts(name)
        rows = self.clip.text.rows([*normal, *anomalous])
        return grow_tree(rows, self.clip.device), len(normal)

    def image_features(self, features: ImageFeatures) -> tuple[list[Tensor], Tensor]:
        """Unit patches [B, N, D] of each layer and the unit image feature [B, D] of the prompted tower."""
        tower, own = self.clip.tower(features.precision), features.entry.shape[1]
        dynamic_BmC = self.dynamic_visual_prompt_generator(features.cls_post)

        def prompt(index: int, x: Tensor) -> Tensor:
            if index >= self.config.depth:
                return x
            tokens = dynamic_BmC + self.visual_prompter.at(index)
            return torch.cat([x[:, :own], tokens.half().to(x) if self.config.prompt_fp16 else tokens.to(x)], dim=1)

        with computing_in(features.precision, self.clip.device):
            states = list(run_blocks(tower.blocks, features.entry, before=prompt))
            patches = self.patch_token_layer.each([states[layer - 1][:, 1:own] for layer in self.layers])
            image = self.cls_token_layer(tower.ln_post(states[-1][:, 0]) @ tower.projection)[:, 0]
        return [F.normalize(x.float(), dim=-1) for x in patches], F.normalize(image.float(), dim=-1)

    def logits(self, features: ImageFeatures, names: Sequence[str], seed: int | None) -> tuple[Tensor, Tensor]:
        """Log-odds of anomalous: of the image [B], of its patches in each layer [B, L, g, g]."""
        layers, image = self.image_features(features)
        text = self.text_features(names, features.cls_post)
        direction_BD = (text[:, 1] - text[:, 0]) / self.config.temperature
        patches_BLN = torch.stack([(x @ direction_BD[..., None])[..., 0] for x in layers], dim=1)
        if self.config.clusters:
            fused = semantic_fusion(layers, patches_BLN.mean(1), self.config.clusters, seed)
            image = F.normalize(self.config.fusion * fused + (1 - self.config.fusion) * image, dim=1)
        return (image * direction_BD).sum(1), self.as_map(patches_BLN)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Focal of the image; focal + Dice + Dice of each layer at the masks' size, softmax after upsampling."""
        seed = int(torch.randint(2**20, ()))
        image_B, patches_BLgg = self.logits(batch.features, batch.names, seed)
        maps = F.interpolate(patches_BLgg, size=batch.masks.shape[-2:], mode="bilinear", align_corners=True).sigmoid()
        parts = [self._segmentation(p_BHW, batch.masks) for p_BHW in maps.unbind(1)]
        return {"image": focal_loss(image_B.sigmoid(), batch.labels.float()), "seg": torch.stack(parts).sum()}

    def _segmentation(self, p_BHW: Tensor, mask_BHW: Tensor) -> Tensor:
        focal = focal_loss(p_BHW, mask_BHW)
        if self.config.dice_by_row:
            p_BHW, mask_BHW = p_BHW.flatten(0, 1), mask_BHW.flatten(0, 1)
        return focal + dice_loss(p_BHW, mask_BHW) + dice_loss(1 - p_BHW, 1 - mask_BHW)

    @torch.no_grad()
    def score(self, features: ImageFeatures, names: Sequence[str], target: str = "") -> Scored:
        seed = None if self.protocol == "paper" else abs(int(self.seed))
        image_B, patches_BLgg = self.logits(features, names, seed)
        mean = patches_BLgg.mean(1, keepdim=True)
        maps = F.interpolate(mean, size=self.map_grid, mode="bilinear", align_corners=True)[:, 0]
        return Scored(image_B.double().sigmoid(), maps)
