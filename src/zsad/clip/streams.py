"""Which streams a spec names, known before the tower runs: what each is called on disk, and the shape it has a picture.

Two specs that name one file get the same bits from the same batch. So its name says what a feature's own does not:
where the V-V stream began, and whether the last block computed the class token alone or beside the patches.
Shapes: N = g·g patches, C vision width, D joint width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from zsad.clip.backbone import Clip, FeatureSpec


@dataclass(frozen=True)
class TowerSizes:
    """Of an image tower at one image size. blocks: how many; grid: g; width: C; joint: D."""

    blocks: int
    grid: int
    width: int
    joint: int

    @classmethod
    def of(cls, clip: Clip) -> "TowerSizes":
        return cls(len(clip.image.blocks), clip.grid, clip.image.class_embedding.shape[0], clip.joint_width)


@dataclass(frozen=True)
class Stream:
    """name: among ImageFeatures; file: the same, and what tells it from others of that name; shape: a picture's."""

    name: str
    file: str
    shape: tuple[int, ...]


def streams(spec: FeatureSpec, sizes: TowerSizes) -> list[Stream]:
    """What `ImageTower.encode` gives for `spec`."""
    return [*_of_class_token(spec, sizes), *_of_patches(spec, sizes), *_of_all_tokens(spec, sizes)]


def _of_class_token(spec: FeatureSpec, sizes: TowerSizes) -> Iterator[Stream]:
    beside = "" if spec.reads_last_patches(sizes.blocks) else "_alone"
    for name, wanted in (("cls", spec.cls), ("cls_post", spec.cls_post)):
        if wanted:
            yield Stream(name, name + beside, (sizes.joint,))
    for scale in spec.windows:
        yield Stream(f"window_{scale}", f"window_{scale}", ((sizes.grid - scale + 1) ** 2, sizes.joint))


def _of_patches(spec: FeatureSpec, sizes: TowerSizes) -> Iterator[Stream]:
    patches = sizes.grid**2
    if spec.vv_start is not None and not spec.vv_layers:
        yield Stream("patches", f"patches_vv{spec.vv_start}", (patches, sizes.joint))
    if spec.local:
        kept = "_cls" if spec.local.keep_cls else ""
        file = f"local_{spec.local.start}_{spec.local.radius}{kept}"
        yield Stream("local", file, (patches, sizes.joint))
    names = [f"layer_{block}" for block in spec.layers] + [f"halfway_{block}" for block in spec.halfway]
    for name in [*dict.fromkeys(names), *(["tokens"] if spec.tokens else [])]:
        yield Stream(name, name, (patches, sizes.width))


def _of_all_tokens(spec: FeatureSpec, sizes: TowerSizes) -> Iterator[Stream]:
    tokens = sizes.grid**2 + 1
    for block in dict.fromkeys(spec.vv_layers):
        yield Stream(f"stream_{block}", f"stream_{block}_vv{spec.vv_start}", (tokens, sizes.joint))
    if spec.entry is not None:
        yield Stream("entry", f"entry_{spec.entry}", (tokens, sizes.width))
