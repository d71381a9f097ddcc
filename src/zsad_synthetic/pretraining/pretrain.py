"""Pretrain the embedded CLIP: `python -m zsad_synthetic.pretraining.pretrain --out DIR`."""

import argparse
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from zsad.clip.embedded import loader as embedded
from zsad.common.io import atomic_path
from zsad.common.progress import progress
from zsad_synthetic.pretraining import losses, model, text_stage, tokens
from zsad_synthetic.pretraining.stream import Batch, Stream, StreamConfig
from zsad_synthetic.pretraining.teacher import Student, Teacher
from zsad_synthetic.pretraining.world import FAMILIES


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights."""

    steps: int = 3400
    seed: int = 0
    lr: float = 0.002
    muon_lr: float = 0.003
    warmup: int = 100
    weight_decay: float = 0.05
    family_weight: float = 0.5
    teacher_weight: float = 1.0
    late_state_weight: float = 2.0
    late_peak_weight: float = 0.5
    """Weights once pictures have their full size: before, small defects cannot be seen and maps are too noisy."""
    save_every: int = 100
    text: text_stage.TextConfig = field(default_factory=text_stage.TextConfig)
    stream: StreamConfig = field(default_factory=lambda: StreamConfig(early_steps=1100))
    architecture: dict[str, Any] = field(default_factory=embedded.config)


class Pretraining:
    """Model, optimiser and step counter; `run` takes them to the end."""

    def __init__(self, config: PretrainConfig, out: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.out, self.step = config, out, 0
        self.model = model.build(config.architecture, len(tokens.kept_ids()) + 1)
        model.initialise(self.model)
        self.teacher = Teacher()
        self.student = Student(config.architecture["model_cfg"]["vision_cfg"]["width"])
        self.trained = nn.ModuleList([self.model, self.student])
        self.optimizers = _optimizers(self.trained, config)
        self.prepare = model.normaliser(config.architecture)

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept between interruptions."""
        return self.out / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the last checkpoint, dropping log lines written after it."""
        saved = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.student.load_state_dict(saved["student"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step = saved["step"]
        log = self.out / "losses.jsonl"
        kept = log.read_text().splitlines(keepends=True)[: self.step] if log.exists() else []
        log.write_text("".join(kept))

    def save(self) -> None:
        """Write the checkpoint; an interruption leaves the last one whole."""
        state = {
            "model": self.model.state_dict(),
            "student": self.student.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }
        with atomic_path(self.checkpoint) as partial:
            torch.save(state, partial)

    def run(self, until: int | None = None) -> None:
        """Train up to `until` steps (default: all), logging every step and saving now and then."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        self.out.mkdir(parents=True, exist_ok=True)
        stream = Stream(self.config.stream, self.config.seed, self.step)
        # A forked worker would inherit locks of OpenCV's and torch's threads and can wait for them for ever.
        batches = iter(DataLoader(stream, None, num_workers=1, prefetch_factor=8, multiprocessing_context="spawn"))
        with (self.out / "losses.jsonl").open("a", buffering=1) as log:
            for _ in progress(range(self.step, last), last - self.step, "pretrain"):
                log.write(json.dumps(self.advance(next(batches))) + "\n")
                if self.step % self.config.save_every == 0 or self.step == last:
                    self.save()

    def advance(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; returns its losses."""
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = group["initial_lr"] * _schedule(self.step, self.config.warmup, self.config.steps)
        terms = self._terms(batch)
        loss = self._total(terms)
        if not loss.isfinite():
            raise FloatingPointError(f"the loss of step {self.step + 1} is {loss.item()}; the last checkpoint is kept")
        self.trained.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.logit_scale.data.clamp_(0, math.log(100))
        self.step += 1
        values = {name: round(value.item(), 6) for name, value in terms._asdict().items()}
        return {"step": self.step, **values, "scale": round(self.model.logit_scale.exp().item(), 4)}

    def finish(self) -> None:
        """Lock the image tower, teach a new text tower and write the model."""
        config = self.config
        torch.manual_seed(config.seed)
        final = model.build(config.architecture, len(tokens.kept_ids()) + 1)
        final.visual.load_state_dict(self.model.visual.state_dict())
        pictures = text_stage.gallery(final, self.prepare, config.stream, config.seed, config.text.pages)
        steps = text_stage.train(final, pictures, config.text, config.seed)
        with (self.out / "text_losses.jsonl").open("w", buffering=1) as log:
            for step, loss in enumerate(progress(steps, config.text.steps, "text"), start=1):
                log.write(json.dumps({"step": step, "contrast": round(loss, 6)}) + "\n")
        with atomic_path(self.out / "model.pt") as partial:
            torch.save({"model": final.state_dict()}, partial)

    def _total(self, terms: losses.Terms) -> Tensor:
        config = self.config
        total = terms.contrast + terms.state + terms.local
        total = total + config.family_weight * terms.family + config.teacher_weight * terms.teacher
        if self.step < config.stream.early_steps:
            return total
        return total + (config.late_state_weight - 1) * terms.state + config.late_peak_weight * terms.peak

    def _terms(self, batch: Batch) -> losses.Terms:
        pixels = torch.as_tensor(batch.pixels).permute(0, 3, 1, 2)
        targets = self.teacher.targets(pixels, pixels.shape[-1] // self.config.stream.patch)
        with torch.autocast("cpu", torch.bfloat16):
            image = model.encode_image(self.model, self.prepare(batch.pixels))
            texts = model.encode_text(self.model, *(torch.as_tensor(a) for a in batch.texts))
            imitation = self.student.loss(image.middle, image.last_cls, targets)
        shown, told = (torch.as_tensor(np.stack(c, axis=1)) for c in (batch.shown, batch.told))
        anomalous, _, family = shown.T
        known = losses.Shown(losses.positives(shown, told), anomalous, 1 + family, torch.as_tensor(batch.defect))
        parts = texts.split([len(pixels), 2 * self.config.stream.pairs, 1 + len(FAMILIES)])
        return losses.terms(image, losses.Texts(*parts), known, self.model.logit_scale.exp(), imitation)


def _optimizers(network: nn.Module, config: PretrainConfig) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of the transformer blocks, AdamW for everything else; only the former decay."""
    named = dict(network.named_parameters())
    blocks = [p for name, p in named.items() if p.ndim == 2 and ".resblocks." in name]
    others = [p for name, p in named.items() if p.ndim != 2 or ".resblocks." not in name]
    muon = torch.optim.Muon(blocks, lr=config.muon_lr, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(others, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    for group in (*muon.param_groups, *adam.param_groups):
        group["initial_lr"] = group["lr"]
    return muon, adam


def _schedule(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, a plateau until 40 % of the steps, a linear descent over the rest."""
    return min((step + 1) / warmup, 1.0, max(0.01, (1 - step / steps) / 0.6))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zsad_synthetic.pretraining.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, configuration and loss log")
    parser.add_argument("--steps", type=int, default=PretrainConfig.steps)
    parser.add_argument("--seed", type=int, default=PretrainConfig.seed)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    options = parser.parse_args(arguments)
    pretraining = Pretraining(PretrainConfig(steps=options.steps, seed=options.seed), options.out)
    if options.resume and not pretraining.checkpoint.exists():
        parser.error(f"--resume: {pretraining.checkpoint} does not exist")
    if not options.resume and pretraining.checkpoint.exists():
        parser.error(f"--out: {options.out} holds a checkpoint; add --resume, or choose another folder")
    if options.resume:
        pretraining.resume()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "config.json").write_text(json.dumps(asdict(pretraining.config), indent=2) + "\n")
    pretraining.run()
    pretraining.finish()


if __name__ == "__main__":
    main()
