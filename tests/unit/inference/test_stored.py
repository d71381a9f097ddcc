"""Prediction files: what goes in comes out, whole or not at all, in constant memory."""

import errno
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from zsad.common.errors import UserError
from zsad.inference.maps import encode_logits
from zsad.inference.stored import (
    INFO_FILE,
    PredictionInfo,
    Predictions,
    PredictionWriter,
    seed_file,
    write_not_applicable,
)

INFO = PredictionInfo(
    learner="cops_paper",
    method="cops",
    protocol="paper",
    source="demo_source",
    shots=0,
    dataset="demo_object",
    domain="demo_object",
    seeds=[0, 7],
    n_images=5,
    grid=(3, 4),
    upsample="bilinear",
    sigma=0.0077,
    config_hash="c" * 16,
    dataset_hash="d" * 16,
)


def content(info: PredictionInfo) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(1)
    return {s: (random.random(info.n_images), random.normal(0, 9, (info.n_images, *info.grid))) for s in info.seeds}


def write(directory: Path, info: PredictionInfo = INFO, batch: int = 2) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    made = content(info)
    with PredictionWriter(directory, info) as writer:
        for seed, (scores, logits) in made.items():
            for start in range(0, info.n_images, batch):
                part = slice(start, start + batch)
                writer.write(seed, start, scores[part], logits[part])
    return made


def fail_with(error: BaseException, directory: Path) -> None:
    with PredictionWriter(directory, INFO) as writer:
        writer.write(0, 0, np.zeros(1), np.zeros((1, 3, 4)))
        raise error


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = write(tmp_path / "p")
    read = Predictions.open(tmp_path / "p")
    assert read.info == INFO
    for seed, (scores, logits) in made.items():
        np.testing.assert_array_equal(read.scores(seed), scores)
        for image in range(INFO.n_images):
            np.testing.assert_array_equal(read.map_codes(seed, image), encode_logits(logits[image]))


def test_safetensors_itself_reads_the_files(tmp_path: Path) -> None:
    made = write(tmp_path / "p")
    for framework in ("np", "pt"):
        with safe_open(seed_file(tmp_path / "p", 7), framework=framework) as file:
            assert sorted(file.keys()) == ["maps", "scores"]
            assert json.loads(file.metadata()["zsad"])["seed"] == 7
            np.testing.assert_array_equal(np.asarray(file.get_tensor("scores")), made[7][0])
            np.testing.assert_array_equal(np.asarray(file.get_tensor("maps")), encode_logits(made[7][1]))


def test_same_bytes_twice_whatever_the_batch(tmp_path: Path) -> None:
    write(tmp_path / "a", batch=2)
    write(tmp_path / "b", batch=5)
    for name in (INFO_FILE, "seed_0.safetensors", "seed_7.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [INFO_FILE, "seed_0.safetensors", "seed_7.safetensors"]


def test_hash_follows_the_tensors_and_not_the_parameters(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", replace(INFO, config_hash="other"))
    write(tmp_path / "c", replace(INFO, seeds=[0]))
    hashes = [Predictions.open(tmp_path / name).hash for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_rewriting_replaces_the_directory(tmp_path: Path) -> None:
    write(tmp_path / "p")
    write(tmp_path / "p", replace(INFO, seeds=[3]))
    assert not seed_file(tmp_path / "p", 0).exists()
    assert Predictions.open(tmp_path / "p").info.seeds == [3]


def test_an_interrupted_writer_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "p")
    before = Predictions.open(tmp_path / "p").hash
    with pytest.raises(KeyboardInterrupt):
        fail_with(KeyboardInterrupt(), tmp_path / "p")
    assert Predictions.open(tmp_path / "p").hash == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_full_disk_names_the_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"p: no space left"):
        fail_with(OSError(errno.ENOSPC, "full"), tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_unwritten_images_are_never_published(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="seed 0: 4 images"), PredictionWriter(tmp_path / "p", INFO) as writer:
        writer.write(0, 1, np.zeros(1), np.zeros((1, 3, 4)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(tmp_path: Path, bad: float) -> None:
    with pytest.raises(UserError, match="cops_paper"), PredictionWriter(tmp_path / "p", INFO) as writer:
        writer.write(0, 0, np.array([bad]), np.zeros((1, 3, 4)))
    with pytest.raises(UserError, match="seed 7, images 0–0"), PredictionWriter(tmp_path / "p", INFO) as writer:
        writer.write(7, 0, np.array([0.5]), np.full((1, 3, 4), np.nan))


@pytest.mark.parametrize(("start", "shape"), [(4, (2, 3, 4)), (-1, (1, 3, 4)), (0, (1, 4, 3)), (0, (2, 3, 4))])
def test_batches_that_do_not_fit_are_refused(tmp_path: Path, start: int, shape: tuple[int, ...]) -> None:
    count = 1 if (start, shape) == (0, (2, 3, 4)) else shape[0]
    with pytest.raises(ValueError, match="do not fit"), PredictionWriter(tmp_path / "p", INFO) as writer:
        writer.write(0, start, np.zeros(count), np.zeros(shape))


def test_not_applicable(tmp_path: Path) -> None:
    info = replace(INFO, reason="trained on it")
    write_not_applicable(tmp_path / "p", info)
    read = Predictions.open(tmp_path / "p")
    assert read.info.reason == "trained on it"
    assert read.hash
    with pytest.raises(ValueError, match="reason"):
        write_not_applicable(tmp_path / "q", INFO)


def test_unusable_information_is_refused() -> None:
    with pytest.raises(ValueError, match="upsample"):
        replace(INFO, upsample="cubic")
    with pytest.raises(ValueError, match="no images"):
        replace(INFO, n_images=0)


def test_missing_predictions_name_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        Predictions.open(tmp_path / "p")
    write(tmp_path / "p")
    seed_file(tmp_path / "p", 7).unlink()
    with pytest.raises(UserError, match=r"seed_7.safetensors: not found"):
        Predictions.open(tmp_path / "p")


def test_damaged_predictions_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "p")
    path = seed_file(tmp_path / "p", 0)
    whole = path.read_bytes()
    for damaged in (whole[:-2], whole[:20], b"x" + whole[1:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"seed_0.safetensors: cut short or changed"):
            Predictions.open(tmp_path / "p")


@pytest.mark.parametrize("change", [{"extra": 1}, {"grid": 3}, {"upsample": "cubic"}])
def test_foreign_information_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    write(tmp_path / "p")
    path = tmp_path / "p" / INFO_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=INFO_FILE):
        Predictions.open(tmp_path / "p")


def test_images_out_of_range(tmp_path: Path) -> None:
    write(tmp_path / "p")
    with pytest.raises(IndexError):
        Predictions.open(tmp_path / "p").map_codes(0, 5)


def peak_of(n: int, directory: Path) -> int:
    info = replace(INFO, n_images=n, grid=(64, 64), seeds=[0])
    maps = np.zeros((8, 64, 64))
    tracemalloc.start()
    with PredictionWriter(directory, info) as writer:
        for start in range(0, n, 8):
            writer.write(0, start, np.zeros(8), maps)
    read = Predictions.open(directory)
    for image in range(n):
        read.map_codes(0, image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = peak_of(64, tmp_path / "few"), peak_of(2048, tmp_path / "many")
    assert many < few + 64 * 1024  # maps of the larger set: 16 MB
