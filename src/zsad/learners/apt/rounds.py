"""APT's training: rounds of epochs over synthetic views, with a meta-prompt that guides and, between rounds, follows.

Part of the method in `__init__`. Only the two contexts are trained. Losses are functions of one vector,
the difference of the two text features, so both gradients are taken there and sent through one graph of the text tower.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from zsad.common.progress import log
from zsad.common.seeding import derive_seed
from zsad.learners.apt.anomalies import HELD_OUT, TRAINING, Family
from zsad.learners.apt.config import Config
from zsad.learners.apt.guidance import average_precision, calibrate, candidate
from zsad.learners.apt.views import Maker, Views, logits, meta_loss, synthetic_loss


@dataclass
class Rounds:
    """One adaptation. `anchor` [2, D]: the first meta-prompt; `scale`: inverse temperature; `encode_prompts`: contexts
    […, bank, M, C] → unit features […, 2, D].

    `learned` and `meta` [2, D] are those after the last epoch that `run` has yielded.
    """

    config: Config
    contexts: tuple[nn.Parameter, nn.Parameter]
    encode_prompts: Callable[[Tensor, Tensor], Tensor]
    scale: float
    maker: Maker
    seed: int
    anchor: Tensor
    meta: Tensor = field(init=False)
    learned: Tensor = field(init=False)

    def run(self) -> Iterator[dict[str, float]]:
        """Means over an epoch: syn = seg + cls, meta; conflict: share of the steps where syn and meta conflicted.

        After the last one also synthetic_ap: pixel AP of the learned prompts on the pictures that they learned from.
        """
        config, clean = self.config, self.maker.clean
        optimizer = torch.optim.SGD(self.contexts, config.lr, config.momentum, weight_decay=config.weight_decay)
        order = torch.Generator().manual_seed(derive_seed("apt order", self.seed))
        self.meta = self.anchor.clone()
        held_out = self._views(HELD_OUT, config.held_out, 0) if config.meta == "dynamic" else None
        for epoch in range(config.epochs):
            if epoch % config.round_epochs == 0:
                if epoch == 0 or config.pool_refresh:
                    made = self._views(TRAINING, config.synthetic, epoch // config.round_epochs)
                teacher = logits(torch.cat([clean, made.tokens]), self.meta, self.scale)
            sums: dict[str, float] = {}
            batches = torch.randperm(len(made.tokens), generator=order).split(config.synthetic_batch * len(clean))
            for step, batch in enumerate(batches):
                pick = batch.to(clean.device)
                odds = torch.cat([teacher[: len(clean)], teacher[len(clean) + pick]])
                _set_rate(optimizer, config, (epoch + step / len(batches)) / config.epochs)
                terms = self._step(optimizer, Views(made.tokens[pick], made.masks[pick]), odds)
                sums = {name: sums.get(name, 0.0) + value / len(batches) for name, value in terms.items()}
            with torch.no_grad():
                self.learned = self.encode_prompts(*self.contexts)
            if held_out is not None and (epoch + 1) % config.round_epochs == 0:
                self._move_meta(held_out)
            if epoch + 1 == config.epochs:
                sums["synthetic_ap"] = self._precision(made, self.learned)
            yield sums

    def _views(self, families: tuple[Family, ...], count: int, number: int) -> Views:
        """Pool `number` of these families, the same for the same seed."""
        names = [family.__name__ for family in families]
        views, used = self.maker.make(count, families, derive_seed("apt pool", self.seed, number, *names))
        log(f"apt: {len(views.tokens)} synthetic pictures: {dict(sorted(used.items()))}")
        return views

    def _step(self, optimizer: torch.optim.Optimizer, made: Views, teacher: Tensor) -> dict[str, float]:
        """One optimiser step on all clean and these synthetic views; `teacher`: the meta-prompt's log-odds of them."""
        clean, copies = self.maker.clean, [_twice(context) for context in self.contexts]
        text = self.encode_prompts(*copies)
        pair = text[0].detach().requires_grad_(True)
        odds = torch.cat([logits(tokens, pair, self.scale) for tokens in (clean, made.tokens)])
        seg, cls = synthetic_loss(odds, made, len(clean))
        meta = meta_loss(odds, teacher, len(clean))
        towards = [torch.autograd.grad(loss, pair, retain_graph=True)[0] for loss in (seg + cls, meta)]
        conflict = False
        for context, gradients in zip(
            self.contexts, torch.autograd.grad(text, copies, torch.stack(towards)), strict=True
        ):
            context.grad, met = self._guided(*gradients)
            conflict |= met
        optimizer.step()
        terms = {"syn": seg + cls, "seg": seg, "cls": cls, "meta": meta}
        return {name: term.item() for name, term in terms.items()} | {"conflict": float(conflict)}

    def _guided(self, synthetic: Tensor, meta: Tensor) -> tuple[Tensor, bool]:
        """The gradient that the optimiser gets of a context, and whether L_syn and L_meta conflicted there."""
        weight = self.config.guide_weight
        projected, conflict = calibrate(synthetic, meta, weight)
        followed = {"project": projected, "kl": synthetic + weight * meta, "none": synthetic}
        return followed[self.config.guide], conflict

    def _move_meta(self, held_out: Views) -> None:
        """The meta-prompt towards the learned prompts, unless the held-out families are then found less well."""
        config = self.config
        moved = candidate(self.meta, self.learned, self.anchor, config.meta_step, config.meta_cosine)
        before, after = (self._precision(held_out, prompts) for prompts in (self.meta, moved))
        if after >= before - config.meta_drop:
            self.meta = moved

    def _precision(self, held_out: Views, prompts: Tensor) -> float:
        """Pixel AP of two prompts on held-out views."""
        maps = held_out.maps(logits(held_out.tokens, prompts, self.scale))
        return average_precision(maps.flatten(), held_out.masks.flatten() > 0)


def _set_rate(optimizer: torch.optim.Optimizer, config: Config, progress: float) -> None:
    """Half a cosine from `lr` to `lr_min` over the whole training; `progress` in [0, 1)."""
    for group in optimizer.param_groups:
        group["lr"] = config.lr_min + (config.lr - config.lr_min) * (1 + math.cos(math.pi * progress)) / 2


def _twice(context: Tensor) -> Tensor:
    """Two copies of a context [2, …] that take gradients: one pass back through the text tower serves two losses."""
    return torch.stack([context.detach()] * 2).requires_grad_(True)
