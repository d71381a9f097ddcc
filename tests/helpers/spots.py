"""A published set of two pictures for tests of fetching: its entry, its archives, and what its manifest must be."""

from pathlib import Path

import yaml

from tests.helpers.archives import write_zip
from tests.helpers.http_server import File, Server
from zsad.config.schema import DatasetParams
from zsad.datasets.index import build_manifest

MASK_PATH, IMAGE_PATH = "Masks/a.png", "Images/a.png"


def packed(tmp_path: Path, name: str, files: dict[str, bytes]) -> bytes:
    return write_zip(tmp_path / name, files.items()).read_bytes()


def params(tmp_path: Path, *sources: dict[str, object], accept: bool = False, nested: str = "") -> DatasetParams:
    """A set of two pictures and their masks, as a user would declare one of their own."""
    entry = {
        "title": "Two spots",
        "domain": "industrial",
        "role": "target",
        "source": "visa",
        "labels": {"image": False, "pixel": True},
        "fetch": list(sources),
        "layout": {"name": "image_mask_pairs", "options": {"image_dir": "Images", "mask_dir": "Masks"}},
        "nested": [nested] if nested else [],
        "mask_threshold": "gt127",
        "split": "all",
        "categories": {"spot": "spot"},
        "expected": {"spot": [0, 1]},
        "licence": {"id": "CC0-1.0", "redistribute": True, "accept": accept},
        "papers": [],
    }
    path = tmp_path / "spots.yaml"
    path.write_text(yaml.safe_dump(entry))
    return DatasetParams(kind="official", path=str(path))


def direct(server: Server, body: bytes, part: str = "") -> dict[str, object]:
    name = f"{part or 'whole'}.zip"
    return {"kind": "direct", "url": server.put(f"/{name}", File(body)), "file": name, "part": part}


def assert_is_whole(key: str, block: DatasetParams, raw: Path) -> None:
    manifest = build_manifest(key, block, raw)
    assert [(row.path, row.mask, row.prompt_name) for row in manifest.rows] == [(IMAGE_PATH, MASK_PATH, "spot")]
