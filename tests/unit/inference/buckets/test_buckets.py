"""Folders and addresses through Ray: the rows of an ordinary run, each once, whatever dies on the way."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from tests.helpers.brightness import Brightness
from zsad.common.errors import UserError
from zsad.common.io import file_sha256
from zsad.inference.buckets import run as engine
from zsad.inference.buckets.parts import Parts
from zsad.inference.buckets.places import Place, list_pictures
from zsad.inference.buckets.run import predict_places
from zsad.inference.pictures.options import Options
from zsad.inference.pictures.run import predict_pictures
from zsad.inference.pictures.summary import Summary

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/00.png … 09.png, a copy of the first, a broken one, and what is not to be read. Parts hold four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "PART", 4)
    (tmp_path / "photos/.hidden").mkdir(parents=True)
    for number in range(10):
        Image.fromarray(np.full((8, 6 + number), 20 * number, np.uint8)).save(f"photos/{number:02}.png")
    Path("photos/.hidden/no.png").write_bytes(b"")
    Path("photos/bad.png").write_bytes(b"broken")
    Path("photos/copy.png").write_bytes(Path("photos/00.png").read_bytes())
    return tmp_path / "photos"


class Mortal(Brightness):
    """Kills its process after so many batches of its life, as often as `deaths` says; `ends`: refuses instead."""

    def __init__(self, folder: str, deaths: int, after: int = 1, ends: bool = False) -> None:
        super().__init__()
        self._folder, self._deaths, self._after, self._ends = Path(folder), deaths, after, ends

    def predict_batch(self, images: Any, batch_size: int = 8, **asked: Any) -> Any:
        marks = list(self._folder.glob("mark*"))
        if len(self.batches) == self._after and len(marks) < self._deaths:
            (self._folder / f"mark{len(marks)}").touch()
            if self._ends:
                raise UserError("model: has had enough")
            os.kill(os.getpid(), signal.SIGKILL)
        yield from super().predict_batch(images, batch_size, **asked)


def bright(_: str | None, mortal: tuple[Any, ...] = ()) -> Brightness:
    return Mortal(*mortal) if mortal else Brightness()


def run(
    out: str = "out", sources: tuple[str, ...] = ("photos",), mortal: tuple[Any, ...] = (), **asked: Any
) -> Summary:
    workers, maps = asked.pop("workers", 1), asked.pop("maps", False)
    options = Options(form="parquet", **{"batch_size": 2, **asked})
    return predict_places(partial(bright, mortal=mortal), list(sources), out, options, None, workers, maps)  # type: ignore[arg-type]


def rows(out: str = "out") -> list[dict[str, Any]]:
    found = [
        row for part in Path(out, "scores").glob("*.parquet") for row in pyarrow.parquet.read_table(part).to_pylist()
    ]
    return sorted(found, key=lambda row: row["path"])


def test_the_rows_of_an_ordinary_run_and_what_follows(photos: Path) -> None:
    summary = run(pixel_threshold=0.3, maps=True, workers=2)
    plain = Options(form="parquet", batch_size=2, pixel_threshold=0.3)
    predict_pictures(Brightness(), ["photos"], Path("plain"), plain)  # type: ignore[arg-type]
    expected = pyarrow.parquet.read_table("plain/scores.parquet").to_pylist()
    assert [{name: row[name] for name in expected[0]} for row in rows()] == expected
    assert (summary.rows, summary.failed, summary.kept) == (12, 1, 0)
    assert summary.reasons == ["photos/bad.png: not a readable picture (of no known format; save it as PNG or JPEG)"]
    assert {row["sha256"] for row in rows()} == {file_sha256(path) for path in photos.glob("*.png")}
    for kind in ("heatmap", "overlay"):
        assert len(list(Path("out/maps").glob(f"*.{kind}.png"))) == 10  # by content: the copy has no other
        drawn = Path(f"out/maps/{file_sha256(photos / '07.png')}.{kind}.png")
        assert drawn.read_bytes() == Path(f"plain/07.png.{kind}.png").read_bytes()
    before = rows()
    Image.new("L", (9, 9), 255).save("photos/01.png")  # another picture now
    Image.new("L", (9, 9), 255).save("photos/bad.png")  # mended
    summary = run(pixel_threshold=0.3, maps=True)
    assert (summary.rows, summary.failed, summary.kept) == (12, 0, 10)
    changed = [new["path"] for new, old in zip(rows(), before, strict=True) if new != old]
    assert changed == ["photos/01.png", "photos/bad.png"]
    with pytest.raises(UserError, match=r"--out out: holds results with other settings \(maps, pixel-threshold\)"):
        run()
    with pytest.raises(UserError, match="another run has taken over"):
        Parts(Place("out"), "of a run before").add([])


def test_a_worker_that_dies_costs_no_row(tmp_path: Path) -> None:
    summary = run(mortal=(str(tmp_path), 3))
    assert len(list(tmp_path.glob("mark*"))) == 3
    assert [row["path"] for row in rows()] == [
        *(f"photos/{n:02}.png" for n in range(10)),
        "photos/bad.png",
        "photos/copy.png",
    ]
    assert (summary.rows, rows()[7]["score"]) == (12, pytest.approx(140 / 255))


def test_a_run_that_ends_early_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model: has had enough$"):
        run(mortal=(str(tmp_path), 1, 3, True))
    done = [row for row in rows() if not row["error"]]
    part = next(Path("out/scores").iterdir())
    part.with_name("late.parquet").write_bytes(part.read_bytes())  # of a worker that outlived its driver
    summary = run()
    assert (summary.kept, summary.rows) == (len(done), 12)
    assert [row["path"] for row in rows()] == sorted({row["path"] for row in rows()})


def test_what_is_listed(photos: Path) -> None:
    (photos / "deep").mkdir()
    (photos / "deep/x.jpg").touch()
    (photos / "notes.txt").touch()
    (photos / "out").mkdir()
    (photos / "out/earlier.png").touch()
    address = photos.as_uri()
    listed = dict(list_pictures(address, Place(str(photos / "out"))))
    assert sorted(listed)[-2:] == [f"{address}/copy.png", f"{address}/deep/x.jpg"]
    assert len(listed) == 13
    before = listed[f"{address}/00.png"]
    (photos / "00.png").write_bytes(b"longer than before")
    assert dict(list_pictures(f"{address}/00.png", Place("out"))) != {f"{address}/00.png": before}


@pytest.mark.parametrize(
    ("sources", "asked", "message"),
    [
        (("none",), {}, "none: no such file or folder"),
        (("nowhere://x",), {}, "nowhere://x: no address that can be opened"),
        (("photos/.hidden",), {}, "no pictures there"),
        (("photos",), {"maps": True}, "--maps: workers must know what colours span"),
        (("photos",), {"workers": 0}, "--workers 0: at least 1"),
        (("photos",), {"workers": 3}, "--workers 3: the cluster has 2 cores"),
        (("-",), {}, "a list on stdin and --watch go without it"),
    ],
)
def test_what_cannot_be_asked(sources: tuple[str, ...], asked: dict, message: str) -> None:
    if sources == ("photos/.hidden",):
        Path("photos/.hidden/no.png").unlink()
    with pytest.raises(UserError, match=message):
        run(sources=sources, **asked)
    assert not list(Path().glob("out/scores/*"))
