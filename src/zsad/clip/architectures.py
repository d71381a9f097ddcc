"""Which of open_clip's architectures learners can read, and why they cannot read the others. Needs no torch.

Learners want what OpenAI's CLIP has: an image tower of plain transformer blocks whose class token becomes the picture's
feature through one layer norm and one matrix, and a causal text tower over the usual tokens that is read at EOT.
"""

from collections.abc import Mapping
from typing import Any

VOCABULARY = 49408  # of the byte-pair tokenizer that every OpenAI-like CLIP shares
TIMM = {  # what timm's towers are, by the beginning of their names
    "convnext": "a convolutional image tower: neither a class token nor attention",
    "eva": "image blocks of EVA's own kind: rotary positions, gated MLPs or no bias of keys",
    "fastvit": "a convolutional image tower: neither a class token nor attention",
    "swin": "attention within windows: no class token, no grid of one width",
    "vit_pe": "image blocks with rotary positions",
    "vitamin": "convolutions in front of the image blocks, and no class token",
}


def obstacles(config: Mapping[str, Any]) -> list[str]:
    """Why learners cannot read the architecture of this open_clip configuration; empty where they can."""
    found = [*_of_image_tower(config["vision_cfg"]), *_of_text_tower(config["text_cfg"])]
    if "multimodal_cfg" in config:
        found.append("a third tower that writes captions")
    if not found and config.get("custom_text"):
        found.append("open_clip builds its text tower as a module of its own (custom_text)")
    return found


def _of_image_tower(vision: Mapping[str, Any]) -> list[str]:
    if name := vision.get("timm_model_name"):
        known = [reason for begin, reason in TIMM.items() if name.startswith(begin)]
        pooled = {"map": "pictures are pooled by attention over patches: no class token", "avg": _AVERAGED}
        return known or [pooled.get(vision.get("timm_pool", ""), "image blocks of timm's, not open_clip's own")]
    if not isinstance(vision.get("layers"), int):
        return ["a residual network: neither a class token nor image blocks"]
    checks = {
        _AVERAGED: vision.get("pool_type", "tok") == "avg",
        "the last layer norm comes after pooling": bool(vision.get("final_ln_after_pool")),
        "pictures are pooled by attention over patches: no class token": bool(vision.get("attentional_pool")),
        "no layer norm in front of the image blocks": bool(vision.get("no_ln_pre")),
        "image blocks scale what they add (ls_init_value)": vision.get("ls_init_value") is not None,
    }
    return [reason for reason, holds in checks.items() if holds]


def _of_text_tower(text: Mapping[str, Any]) -> list[str]:
    if "hf_model_name" in text:
        return ["another kind of text tower"]
    checks = {
        "a tokenizer of its own": text.get("vocab_size", VOCABULARY) != VOCABULARY or "hf_tokenizer_name" in text,
        "text that is not causal: what prompts begin with cannot be run once": bool(text.get("no_causal_mask")),
        f"text is read at its {text.get('pool_type')} token, not at EOT": text.get("pool_type", "argmax") != "argmax",
    }
    return [reason for reason, holds in checks.items() if holds]


_AVERAGED = "the picture's feature is the mean of its patches, not a class token"
