"""Files as the authors' codes save them, with random values: names and shapes are written out by hand here."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from tests.conftest import seeded_values

Shapes = dict[str, tuple[int, ...]]
SOT, EOT, X, N, A, OBJECT, DAMAGED, STOP = 49406, 49407, 343, 333, 320, 14115, 13568, 269
NORM, COUNTER = ("weight", "bias", "running_mean", "running_var"), "num_batches_tracked"
TOP: dict[str, str | tuple[str, ...]] = {
    "ada_clip": "clip_model.",  # a flat file, names begin with it
    "adapt_clip": ("textual_learner", "visual_learner", "pq_learner"),
    "anomalyclip": "prompt_learner",
    "april_gan": "trainable_linearlayer",
    "cops": "prompt_learner",
    "faprompt": "prompt_learner",
    "bayes_pfl": "MyModel",
}


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def prompt_shapes(polarity: str, count: int, learned: int, width: int) -> Shapes:
    return {
        f"token_prefix_{polarity}": (1, count, 1, width),
        f"token_suffix_{polarity}": (1, count, 76 - learned, width),
        f"tokenized_prompts_{polarity}": (1, count, 77),
    }


def deep_shapes(sets: int, width: int, projected: bool) -> Shapes:
    shapes: Shapes = {f"compound_prompts_text.{i}": (4, width) for i in range(sets)}
    for i in range(sets if projected else 0):
        shapes |= linear(f"compound_prompt_projections.{i}", width, 896)
    return shapes


def anomalyclip(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    contexts: Shapes = dict.fromkeys(("ctx_pos", "ctx_neg"), (1, 1, 12, width))
    prompts = prompt_shapes("pos", 1, 12, width) | prompt_shapes("neg", 1, 12, width)
    return contexts | prompts | deep_shapes(sets, width, projected=True)


def april_gan(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    shapes: Shapes = {}
    for i in range(layers):
        shapes |= linear(f"fc.{i}", vision, width)
    return shapes


def cops(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    shapes: Shapes = dict.fromkeys(("ctx_pos", "ctx_neg"), (1, 1, 14, width))
    shapes |= {"t_n": (6, width), "t_a": (6, width)}
    shapes |= {"extractor.attn.in_proj_weight": (3 * width, width), "extractor.attn.in_proj_bias": (3 * width,)}
    shapes |= {f"extractor.ln_{i}.{kind}": (width,) for i in (1, 2) for kind in ("weight", "bias")}
    for name in ("extractor.attn.out_proj", "extractor.mlp.c_fc", "extractor.mlp.c_proj"):
        shapes |= linear(name, width, width)
    shapes |= linear("vae_decoder.net.0", width, width) | linear("vae_decoder.net.2", width, width)
    return shapes | deep_shapes(sets, width, projected=False)


def faprompt(width: int, vision: int, sets: int, layers: int, abnormal_tokens: int = 2, **_: Any) -> Shapes:
    shapes: Shapes = {"ctx_pos": (1, 1, 5, width), "ctx_neg": (1, 10, abnormal_tokens, width)}
    shapes |= prompt_shapes("pos", 1, 5, width) | prompt_shapes("neg", 10, 5 + abnormal_tokens, width)
    shapes |= linear("patch_meta_net.linear1", 10 * width, 10 * width // 16)
    shapes |= linear("patch_meta_net.linear2", 10 * width // 16, width)
    return shapes | deep_shapes(sets, width, projected=True)


def bayes_pfl(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    shapes: Shapes = dict.fromkeys(("prompt_context", "prompt_state_normal", "prompt_state_abnormal"), (3, 5, width))
    shapes |= {"temperature_pixel": (), "temperature_image": ()}
    for place in ("context_", "state_", "PFL_context.", "PFL_normal.", "PFL_abnormal."):
        for network in ("encoder.weight_mean", "encoder.weight_log_variance", "decoder.weight_mean"):
            for i, (inputs, outputs) in ((0, (width, vision // 2)), (2, (vision // 2,) * 2), (4, (vision // 2, width))):
                shapes |= linear(f"{place}{network}.module.{i}", inputs, outputs)
    for name in ("PFL_context", "PFL_normal", "PFL_abnormal"):
        shapes |= linear(f"{name}.p_mu.0", width, width)
    shapes |= linear("PFL_context.amor_u", width, 10 * width) | linear("PFL_context.amor_w", width, 10 * width)
    shapes |= linear("PFL_context.amor_b", width, 10)
    for name in ("PFL_normal", "PFL_abnormal"):
        shapes |= {f"{name}.amor_u": (1, 10, width, 1), f"{name}.amor_w": (1, 10, 1, width)}
        shapes |= {f"{name}.amor_b": (1, 10, 1, 1), f"{name}.state": (1, width)}
    shapes |= {"RCA.q_proj_pre.weight": (width, width, 1), "RCA.q_proj_pre.bias": (width,)}
    shapes |= {f"RCA.linear_proj.{i}.weight": (width, vision) for i in range(layers)}
    shapes |= linear("class_mapping", width, width) | linear("image_mapping", width, width)
    shapes |= linear("fuse.fuse_modules", layers * vision, vision // 2) | linear("fuse.compress", vision // 2, 1)
    return shapes | linear("fuse.post_process", vision // 2, width)


def ada_clip(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    shapes: Shapes = {f"text_prompter.static_prompts.{i}": (5, width) for i in range(4)}
    shapes |= {f"visual_prompter.static_prompts.{i}": (5, vision) for i in range(4)}
    for i in range(layers):
        shapes |= linear(f"patch_token_layer.head.{i}", vision, width)
    for i in range(5):
        shapes |= linear(f"dynamic_visual_prompt_generator.head.{i}", width, vision)
        shapes |= linear(f"dynamic_text_prompt_generator.head.{i}", width, width)
    return shapes | linear("cls_token_layer.head.0", width, width)


def norm(name: str, width: int) -> Shapes:
    shapes: Shapes = dict.fromkeys((f"{name}.{kind}" for kind in NORM), (width,))
    return shapes | {f"{name}.{COUNTER}": ()}


def adapt_clip(width: int, vision: int, sets: int, layers: int, **_: Any) -> Shapes:
    shapes: Shapes = {f"textual_learner.ctx_{polarity}": (1, 1, 12, width) for polarity in ("pos", "neg")}
    for polarity in ("pos", "neg"):
        shapes |= {f"textual_learner.{name}": s for name, s in prompt_shapes(polarity, 1, 12, width).items()}
    for name in ("visual_learner.local_adater", "visual_learner.global_adapter"):
        shapes |= {f"{name}.fc.0.weight": (width // 4, width), f"{name}.fc.3.weight": (width, width // 4)}
        shapes |= norm(f"{name}.fc.1", width // 4)
    for i in range(layers):
        local, whole = f"pq_learner.local_adapter.{i}", f"pq_learner.global_adapter.{i}"
        shapes |= norm(f"pq_learner.sharebn.{i}", width)
        shapes |= {f"{local}.0.weight": (128, width, 3, 3), f"{local}.4.weight": (64, 128, 3, 3)}
        shapes |= {f"{local}.3.weight": (128, 128, 2, 2), f"{local}.3.bias": (128,)}
        shapes |= {f"{local}.7.weight": (64, 64, 2, 2), f"{local}.7.bias": (64,)}
        shapes |= {f"{local}.8.weight": (2, 64, 1, 1), f"{local}.8.bias": (2,)}
        shapes |= norm(f"{local}.1", 128) | norm(f"{local}.5", 64)
        shapes |= {f"{whole}.0.weight": (128, width), f"{whole}.3.weight": (64, 128), f"{whole}.6.weight": (2, 64)}
        shapes |= norm(f"{whole}.1", 128) | norm(f"{whole}.4", 64)
    return shapes


SHAPES: dict[str, Callable[..., Shapes]] = {
    "ada_clip": ada_clip,
    "adapt_clip": adapt_clip,
    "anomalyclip": anomalyclip,
    "april_gan": april_gan,
    "bayes_pfl": bayes_pfl,
    "cops": cops,
    "faprompt": faprompt,
}


def prompt_ids(method: str, abnormal_tokens: int = 2) -> dict[str, list[int]]:
    """Token ids of a method's prompts up to EOT, by polarity."""
    if method == "adapt_clip":
        return {polarity: [SOT, *[X] * 12, STOP, EOT] for polarity in ("pos", "neg")}
    if method == "anomalyclip":
        return {
            "pos": [SOT, *[X] * 12, OBJECT, STOP, EOT],
            "neg": [SOT, *[X] * 12, DAMAGED, OBJECT, STOP, EOT],
        }
    return {
        "pos": [SOT, *[N] * 5, OBJECT, STOP, EOT],
        "neg": [SOT, *[N] * 5, *[A] * abnormal_tokens, DAMAGED, OBJECT, STOP, EOT],
    }


def same_prompts(state: dict[str, Tensor], method: str, embedding_VC: Tensor, **changes: Any) -> None:
    """Fill ids and embeddings of the prompts as the code of AnomalyCLIP, AdaptCLIP or FAPrompt does."""
    top = "textual_learner." if method == "adapt_clip" else ""
    for polarity, ids in prompt_ids(method, **changes).items():
        rows = torch.tensor(ids + [0] * (77 - len(ids)), dtype=torch.int32)
        count, rest = state[f"{top}token_suffix_{polarity}"].shape[1:3]
        state[f"{top}tokenized_prompts_{polarity}"] = rows.expand(1, count, -1).clone()
        embedded = embedding_VC[rows.long()].expand(1, count, -1, -1)
        state[f"{top}token_prefix_{polarity}"] = embedded[:, :, :1].clone()
        state[f"{top}token_suffix_{polarity}"] = embedded[:, :, 77 - rest :].clone()


def repeated(names: Iterable[str]) -> dict[str, str]:
    """Bayes-PFL, AdaptCLIP: name → name of the tensor whose values it repeats, because modules are shared."""
    found = {}
    for name in names:
        if again := re.fullmatch(r"(pq_learner\.(?:local|global)_adapter)\.[1-9](\..+)", name):
            found[name] = f"{again[1]}.0{again[2]}"
        for place, original in (("PFL_context.", "context_"), ("PFL_normal.", "state_"), ("PFL_abnormal.", "state_")):
            if name.startswith((f"{place}encoder", f"{place}decoder")):
                found[name] = original + name.removeprefix(place)
    return found


def official(method: str, clip: Any, sets: int, layers: int = 4, seed: int = 3, **changes: Any) -> dict[str, Any]:
    """Tensors of an official file for this CLIP, by name."""
    width, vision = clip.text.width, clip.image.class_embedding.shape[0]
    state = seeded_values(SHAPES[method](width, vision, sets, layers, **changes), seed)
    state |= {name: torch.tensor(41) for name in state if name.endswith(COUNTER)}
    if any(name.endswith("tokenized_prompts_pos") for name in state):
        same_prompts(state, method, clip.text.token_embedding, **changes)
    state |= {name: state[original] for name, original in repeated(state).items()}
    return state


def packed(method: str, state: dict[str, Any]) -> dict[str, Any]:
    """What the file holds: {top key: tensors by name}, or all names with their beginning."""
    top = TOP[method]
    if isinstance(top, tuple):
        return {key: {n.removeprefix(f"{key}."): v for n, v in state.items() if n.startswith(key)} for key in top}
    return {top + name: value for name, value in state.items()} if top.endswith(".") else {top: state}


def unpacked(method: str, content: dict[str, Any]) -> dict[str, Any]:
    """The tensors of what a file holds, by name."""
    top = TOP[method]
    if isinstance(top, tuple):
        return {f"{key}.{name}": value for key in top for name, value in content[key].items()}
    if top.endswith("."):
        return {name.removeprefix(top): value for name, value in content.items()}
    state: dict[str, Any] = content[top]
    return state
