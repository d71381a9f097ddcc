"""Pretrain the embedded CLIP: `python -m zsad.clip.tiny.pretrain --out DIR`."""

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

from zsad.clip.tiny import embedded, losses, model, tokens
from zsad.clip.tiny.stream import Batch, Claims, Stream, StreamConfig
from zsad.io import atomic_path
from zsad.progress import progress


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights."""

    steps: int = 2500
    seed: int = 0
    lr: float = 5e-4
    warmup: int = 200
    weight_decay: float = 0.05
    peak_weight: float = 0.5
    """Weight of the largest patch once pictures have their full size; before, maps are too noisy for it."""
    save_every: int = 100
    stream: StreamConfig = field(default_factory=lambda: StreamConfig(early_steps=1300))
    architecture: dict[str, Any] = field(default_factory=embedded.config)


class Pretraining:
    """Model, optimiser and step counter; `run` takes them to the end."""

    def __init__(self, config: PretrainConfig, out: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.out, self.step = config, out, 0
        self.model = model.build(config.architecture, len(tokens.kept_ids()) + 1)
        model.initialise(self.model)
        self.optimizer = torch.optim.AdamW(
            _groups(self.model, config.weight_decay), lr=config.lr, betas=(0.9, 0.98), fused=True
        )
        preprocess = config.architecture["preprocess_cfg"]
        self.mean, self.std = (torch.tensor(preprocess[k]).view(3, 1, 1) * 255 for k in ("mean", "std"))

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept between interruptions."""
        return self.out / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the last checkpoint, dropping log lines written after it."""
        saved = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step = saved["step"]
        log = self.out / "losses.jsonl"
        kept = log.read_text().splitlines(keepends=True)[: self.step] if log.exists() else []
        log.write_text("".join(kept))

    def save(self) -> None:
        """Write the checkpoint; an interruption leaves the last one whole."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
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
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * _schedule(self.step, self.config.warmup, self.config.steps)
        terms = self._terms(batch)
        late = self.step >= self.config.stream.early_steps
        loss = terms.contrast + terms.state + terms.local + (self.config.peak_weight * terms.peak if late else 0)
        if not loss.isfinite():
            raise FloatingPointError(f"the loss of step {self.step + 1} is {loss.item()}; the last checkpoint is kept")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.logit_scale.data.clamp_(0, math.log(100))
        self.step += 1
        values = {name: round(value.item(), 6) for name, value in terms._asdict().items()}
        return {"step": self.step, **values, "scale": round(self.model.logit_scale.exp().item(), 4)}

    def _terms(self, batch: Batch) -> losses.Terms:
        pixels = (torch.as_tensor(batch.pixels).permute(0, 3, 1, 2).float() - self.mean) / self.std
        with torch.autocast("cpu", torch.bfloat16):
            image = model.encode_image(self.model, pixels)
            texts = model.encode_text(self.model, *(torch.as_tensor(a) for a in batch.texts))
        shown, told = (_claim_tensors(c) for c in (batch.shown, batch.told))
        return losses.terms(
            image,
            texts,
            losses.positives(*shown, *told),
            shown[0],
            torch.as_tensor(batch.defect),
            self.model.logit_scale.exp(),
        )


def _claim_tensors(claims: Claims) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(claims.anomalous), torch.as_tensor(np.stack([claims.kind, claims.family], 1))


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms, embeddings and the temperature do not."""
    decays = [p for n, p in network.named_parameters() if p.ndim >= 2 and "embedding" not in n]
    others = [p for n, p in network.named_parameters() if p.ndim < 2 or "embedding" in n]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _schedule(step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, a plateau, a linear descent over the last quarter: a longer run begins like a shorter one."""
    return min((step + 1) / warmup, 1.0, max(0.01, 4 * (1 - step / steps)))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zsad.clip.tiny.pretrain", description=__doc__)
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


if __name__ == "__main__":
    main()
