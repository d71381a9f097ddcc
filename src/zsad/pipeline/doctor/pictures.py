"""The datasets of params.yaml, and whether the disk has room for those that are still to come."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from zsad.config.params import Params
from zsad.config.schema import DatasetParams
from zsad.datasets.archives import published_size
from zsad.datasets.catalogue import Entry, entry_of, is_entry_file
from zsad.datasets.describe import Description, describe
from zsad.datasets.licences import is_accepted
from zsad.datasets.places import HERE, RAW
from zsad.pipeline.doctor.finding import Finding

COPIES = 3  # of a fetched set: the archive, its pictures, DVC's cache (data/README.md)


def check_pictures(params: Params) -> Iterator[Finding]:
    """A finding for each of `datasets`, then the disk."""
    for line in describe(params):
        if line.key in params.datasets:
            yield _dataset(line, params.datasets[line.key])
    yield _disk(params)


def _dataset(line: Description, block: DatasetParams) -> Finding:
    what = f"dataset {line.key}"
    if line.on_disk == "indexed":
        return Finding(what, "ok", f"indexed: {line.counts}")
    if line.on_disk == "fetched":
        return Finding(what, "later", "fetched, not indexed", f"zsad repro index@{line.key}")
    bring = f"zsad repro fetch@{line.key}"
    if block.kind == "official" and is_entry_file(block.path):
        return _published(what, bring, line.on_disk == "archive", *entry_of(line.key, block))
    if block.kind == "demo" or block.url or Path(block.path).exists():
        return Finding(what, "later", "to be drawn" if block.kind == "demo" else f"to be read from {line.where}", bring)
    remedy = f"correct datasets.{line.key}.path in params.yaml"
    return Finding(what, "missing", f"{block.path}: no such folder or file", remedy)


def _published(what: str, bring: str, is_here: bool, identifier: str, entry: Entry) -> Finding:
    if not is_accepted(identifier, entry):
        remedy = f"zsad fetch {identifier} --accept-licence {identifier}"
        return Finding(what, "missing", f"licence not accepted: {entry.licence.id}", remedy)
    if is_here:
        return Finding(what, "later", "its archive is here, not unpacked", bring)
    if all(source.kind == "manual" for source in entry.fetch):
        remedy = f"put {entry.fetch[0].file} from {entry.fetch[0].page} into {HERE.drop / identifier}/"
        return Finding(what, "missing", "nobody may pass it on: by hand alone", remedy)
    return Finding(what, "later", f"to be downloaded ({_told(published_size(entry))})", bring)


def _disk(params: Params) -> Finding:
    """Room for the published sets that are not fetched; those of unknown size are told as such."""
    sizes = {
        key: published_size(entry_of(key, block)[1])
        for key, block in params.datasets.items()
        if block.kind == "official" and is_entry_file(block.path) and not (RAW / key).is_dir()
    }
    free = shutil.disk_usage(Path()).free
    needed = COPIES * sum(size or 0 for size in sizes.values())
    unknown = sum(size is None for size in sizes.values())
    beside = f" and {unknown} more of unknown size" if unknown else ""
    state = f"{decimal(free)} free" + (f"; datasets to come need {decimal(needed)}{beside}" if sizes else "")
    if needed > free:
        return Finding("disk", "missing", state, f"free {decimal(needed - free)}, or see data/README.md, Disk")
    return Finding("disk", "ok", state)


def _told(size: int | None) -> str:
    return "size not published" if size is None else decimal(size)
