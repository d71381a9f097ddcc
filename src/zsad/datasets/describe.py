"""What `zsad datasets` and `zsad index` print: which datasets there are, and what was found in one of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from zsad.common.io import read_json
from zsad.config.params import Params
from zsad.config.schema import DatasetParams
from zsad.datasets.catalogue import Entry, Source, catalogue, entry_of, is_entry_file, published_params
from zsad.datasets.demo import demo_sets
from zsad.datasets.leaks import leak_notes
from zsad.datasets.manifest import FACTS_FILE, MANIFESTS, Manifest
from zsad.datasets.places import HERE, RAW, Places

GROUPS = ("train", "normal", "anomalous")
HOSTS = {"gdrive": "drive.google.com", "kaggle": "www.kaggle.com"}  # of kinds without an address in the catalogue
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Description:
    """A line of the table.

    on_disk: how far it got: indexed, fetched, archive (there, not fetched from), folder (of the user's, not fetched).
    counts: of what is there, else what is expected. labels, hash: empty until indexed; title, licence: of own folders.
    """

    key: str
    title: str
    kind: str
    domain: str
    where: str
    on_disk: str
    counts: str
    labels: str
    hash: str
    licence: str


def describe(params: Params, raw: Path = RAW, manifests: Path = MANIFESTS, places: Places = HERE) -> list[Description]:
    """One line per dataset of params.yaml, in its order, then per other published set of which anything is on disk."""
    named = {entry_of(key, block)[0] for key, block in params.datasets.items() if block.kind == "official"}
    others = {key: published_params(key) for key in catalogue() if key not in named | params.datasets.keys()}
    lines = [_describe(k, b, raw / k, manifests / k, places) for k, b in {**params.datasets, **others}.items()]
    return [line for line in lines if line.key in params.datasets or line.on_disk]


@dataclass(frozen=True)
class Published:
    """A line of the catalogue. pictures: of the test split, as published; fetched: how its archives come here."""

    id: str
    title: str
    domain: str
    pictures: str
    labels: str
    fetched: str
    licence: str


def published() -> list[Published]:
    """One line per set of the catalogue, by id."""
    return [
        Published(
            id=key,
            title=entry.title,
            domain=entry.domain,
            pictures=_total(entry) or "not published",
            labels=_labels(entry.labels.model_dump()),
            fetched=_ways(entry),
            licence=f"{entry.licence.id}{', to be accepted' if entry.licence.accept else ''}",
        )
        for key, entry in catalogue().items()
    ]


def _total(entry: Entry) -> str:
    sums = entry.total or entry.sums
    return f"{sums[0]} normal, {sums[1]} anomalous" if sums else ""


def _ways(entry: Entry) -> str:
    """The kinds of its sources, in the order in which they are tried."""
    told = {"direct": "download", "gdrive": "Google Drive", "kaggle": "Kaggle (login)", "manual": "by hand"}
    return ", ".join(dict.fromkeys(told[source.kind] for source in entry.fetch))


def report(params: Params, manifest: Manifest, base: Path = MANIFESTS) -> Iterator[str]:
    """Lines on a set that was just indexed: counts beside the expected ones, labels, notes, overlaps with others."""
    expected = _known(manifest.dataset, params.dataset(manifest.dataset)).expected
    labels = _labels({"image": manifest.has_image_labels, "pixel": manifest.has_pixel_labels})
    yield f"{manifest.dataset}: hash {manifest.hash}, labels: {labels or 'none'}"
    for category, counts in manifest.counts.items():
        yield f"  {category}: {_told(counts)}{_compared(counts, expected.get(category, {}))}"
    for note in (*manifest.notes, *leak_notes(params, manifest, base)):
        yield f"  note: {note}"


@dataclass(frozen=True)
class _Known:
    """What is known before a set is there. expected: category → group → number, for groups with published numbers."""

    title: str = ""
    domain: str = ""
    licence: str = ""
    where: str = ""
    expected: Counts = field(default_factory=dict)
    total: str = ""


def _known(key: str, block: DatasetParams) -> _Known:
    if block.kind == "official":
        _, entry = entry_of(key, block)
        where = _address(entry.fetch[0]) if is_entry_file(block.path) else block.path
        expected = {
            name: dict(zip(GROUPS[1:], counts, strict=True)) for name, counts in entry.expected.items() if counts
        }
        return _Known(entry.title, entry.domain, entry.licence.id, where, expected, _total(entry))
    drawn = demo_sets().get(key) if block.kind == "demo" else None
    if drawn is None:
        return _Known(where=block.url or block.path)
    expected = {name: dict(zip(GROUPS, drawn.expected, strict=True)) for name in drawn.categories}
    return _Known(drawn.title, drawn.domain, drawn.licence, "drawn by zsad", expected, _summed(expected))


def _describe(key: str, block: DatasetParams, raw: Path, manifest: Path, places: Places) -> Description:
    known = _known(key, block)
    facts = read_json(manifest / FACTS_FILE) if (manifest / FACTS_FILE).is_file() else {}
    expected = f"expected: {known.total}" if known.total else ""
    return Description(
        key=key,
        title=known.title,
        kind=block.kind,
        domain=facts.get("domain") or block.domain or known.domain,
        where=known.where,
        on_disk=_on_disk(key, block, raw, manifest, places),
        counts=_summed(facts["counts"]) if facts else expected,
        labels=_labels(facts["labels"]) if facts else "",
        hash=facts.get("hash", ""),
        licence=known.licence,
    )


def _on_disk(key: str, block: DatasetParams, raw: Path, manifest: Path, places: Places) -> str:
    if raw.is_dir():
        return "indexed" if (manifest / FACTS_FILE).is_file() else "fetched"
    if block.kind == "demo":
        return ""
    if not is_entry_file(block.path):
        return "folder" if Path(block.path).is_dir() else ""
    identifier, _ = entry_of(key, block)
    kept = (path for place in (places.store, places.drop) for path in (place / identifier).rglob("*"))
    return "archive" if any(path.is_file() for path in kept) else ""


def _address(source: Source) -> str:
    """Host that a set comes from; people fetch a manual one themselves."""
    host = HOSTS.get(source.kind) or urlsplit(source.url or source.page).netloc
    return f"{host} (by hand)" if source.kind == "manual" else host


def _labels(labels: Mapping[str, bool]) -> str:
    return " + ".join(name for name, there in sorted(labels.items()) if there)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[group]} {group}" for group in GROUPS if group in counts)


def _compared(counts: Mapping[str, int], expected: Mapping[str, int]) -> str:
    if not expected:
        return ""
    agree = all(counts[group] == number for group, number in expected.items())
    return ", as expected" if agree else f"; expected: {_told(expected)}"


def _summed(counts: Counts) -> str:
    total = {group: sum(category[group] for category in counts.values()) for group in GROUPS}
    return f"{total['train']} + {total['normal']} normal, {total['anomalous']} anomalous, {len(counts)} categories"
