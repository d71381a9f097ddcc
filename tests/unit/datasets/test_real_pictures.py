"""Real pictures in MVTec layout from the folder that ZSAD_REAL_DATA names; without it nothing is collected."""

import os
import re
from pathlib import Path

import pytest

from zsad.clip.inputs import preprocess
from zsad.config.schema import DatasetParams
from zsad.datasets.fetch import fetch
from zsad.datasets.index import index
from zsad.datasets.masks import read_mask, resize_mask_area

REAL = Path(os.environ.get("ZSAD_REAL_DATA") or "/nonexistent")
ROW = re.compile(r"^\| `(\w+)/(\w+)` \| (\d+) \+ (\d+)[^|]*\| (\d+)[^|]*\| (none|\d+)", re.MULTILINE)
Counts = dict[str, dict[str, int]]


def stated() -> dict[str, tuple[Counts, bool]]:
    """dataset → (counts, has masks), as the table in the README beside the pictures says."""
    readme = REAL / "README.md"
    found: dict[str, tuple[Counts, bool]] = {}
    for dataset, category, train, normal, anomalous, masks in ROW.findall(
        readme.read_text() if readme.is_file() else ""
    ):
        counts, masked = found.get(dataset, ({}, True))
        counts[category] = {"train": int(train), "normal": int(normal), "anomalous": int(anomalous)}
        found[dataset] = (counts, masked and masks != "none")
    return {dataset: facts for dataset, facts in found.items() if (REAL / dataset).is_dir()}


if STATED := stated():

    @pytest.mark.parametrize("dataset", sorted(STATED))
    def test_real_set(dataset: str, tmp_path: Path) -> None:
        counts, masked = STATED[dataset]
        params = DatasetParams(path=str(REAL / dataset))
        fetch(dataset, params, tmp_path / "raw")
        manifest = index(dataset, params, tmp_path / "raw", tmp_path / "manifests")
        assert manifest.counts == dict(sorted(counts.items()))
        assert manifest.has_image_labels == any(category["normal"] for category in counts.values())
        assert manifest.has_pixel_labels == masked
        for row in manifest.test[:: max(len(manifest.test) // 12, 1)]:
            assert preprocess(manifest.root / row.path, 32).shape == (3, 32, 32)
            if row.mask:
                mask = read_mask(manifest.root / row.mask, (row.width, row.height), manifest.mask_rule)
                assert resize_mask_area(mask, (64, 48)).any()
