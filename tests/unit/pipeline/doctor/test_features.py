"""What the doctor says of the store of frozen features."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from zsad.config.params import load_params
from zsad.pipeline.doctor.features import check_features


def test_how_full_the_store_is(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params().model_copy(update={"feature_store": 1e-3})
    assert check_features(params).state == "0.00 of 0.001 GiB in data/features"
    stream = repository / "data/features/parts_00/cls.npy"
    stream.parent.mkdir(parents=True)
    stream.write_bytes(bytes(2**20))
    assert check_features(params).level == "ok"
    monkeypatch.setattr("zsad.pipeline.doctor.features.shutil.disk_usage", lambda _: SimpleNamespace(free=2**10))
    small = check_features(params.model_copy(update={"feature_store": 1.0}))
    assert (small.level, small.state) == ("optional", "0.00 of 1 GiB in data/features, and the disk has 0.0 GiB left")
    stream.write_bytes(bytes(2**21))
    assert check_features(params).remedy == "zsad leftovers --features --remove"
