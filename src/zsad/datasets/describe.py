"""`zsad datasets`: which datasets params.yaml names, and what of them is on disk."""

from dataclasses import dataclass
from pathlib import Path

from zsad.config import DatasetParams, Params
from zsad.datasets.fetch import RAW
from zsad.datasets.manifest import FACTS_FILE, MANIFESTS
from zsad.datasets.official import official_entry
from zsad.datasets.registry import ENTRIES
from zsad.io import read_json


@dataclass(frozen=True)
class Description:
    """A line of the table; counts, labels, hash are empty until it is indexed; title and licence for own folders."""

    key: str
    title: str
    kind: str
    domain: str
    where: str
    on_disk: bool
    counts: str
    labels: str
    hash: str
    licence: str


def describe(params: Params, raw: Path = RAW, manifests: Path = MANIFESTS) -> list[Description]:
    """One line per dataset of params.yaml, in its order."""
    return [_describe(key, block, raw / key, manifests / key) for key, block in params.datasets.items()]


def _describe(key: str, block: DatasetParams, raw: Path, manifest: Path) -> Description:
    title, domain, licence = _known(key, block)
    facts = read_json(manifest / FACTS_FILE) if (manifest / FACTS_FILE).is_file() else {}
    return Description(
        key=key,
        title=title,
        kind=block.kind,
        domain=facts.get("domain") or block.domain or domain,
        where=raw.as_posix() if block.kind == "demo" else block.path,
        on_disk=raw.is_dir(),
        counts=_counts(facts["counts"]) if facts else "",
        labels=" + ".join(name for name, there in sorted(facts["labels"].items()) if there) if facts else "",
        hash=facts.get("hash", ""),
        licence=licence,
    )


def _known(key: str, block: DatasetParams) -> tuple[str, str, str]:
    """(title, domain, licence) that are known before a set is there; empty where they are not."""
    if block.kind == "official":
        _, published = official_entry(key, block)
        return published.title, published.domain, published.licence.id
    drawn = ENTRIES.get(key) if block.kind == "demo" else None
    return (drawn.title, drawn.domain, drawn.licence) if drawn else ("", "", "")


def _counts(counts: dict[str, dict[str, int]]) -> str:
    total = {group: sum(category[group] for category in counts.values()) for group in ("train", "normal", "anomalous")}
    return f"{total['train']} + {total['normal']} normal, {total['anomalous']} anomalous, {len(counts)} categories"
