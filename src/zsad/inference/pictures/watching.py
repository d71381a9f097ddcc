"""Folders that pictures keep coming into: round after round of what is new there and no longer being written."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from zsad.common.errors import UserError
from zsad.inference.pictures.decoding import Stamp, stamp_of
from zsad.inference.pictures.sources import STDIN, Source, named_sources

POLL = 1.0  # seconds between looks; a file that stood still for one is taken to be whole


def check_watched(paths: Sequence[str]) -> None:
    """UserError unless all are folders."""
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            raise UserError(f"--watch {path}: is no folder; only folders can be watched")


def new_pictures(paths: Sequence[str], out: Path) -> Iterator[list[Source]]:
    """Rounds of pictures that are new or changed since they were given, without end; empty ones, too."""
    given: dict[Path, Stamp] = {}
    seen: dict[Path, Stamp] = {}
    while True:
        there = named_sources(paths, out, may_be_none=True)
        now = {source: stamp for source in there if (stamp := _stamp(source.file))}
        fresh = [one for one, stamp in now.items() if seen.get(one.file) == stamp != given.get(one.file)]
        given.update((one.file, now[one]) for one in fresh)
        seen = {one.file: stamp for one, stamp in now.items()}
        yield fresh
        time.sleep(POLL)


def _stamp(file: Path) -> Stamp | None:
    """None for what went away since it was listed."""
    try:
        return stamp_of(file.stat())
    except OSError:
        return None
