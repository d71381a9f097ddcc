"""`zsad datasets`: which datasets params.yaml names, and what of them is on disk."""

from dataclasses import dataclass
from pathlib import Path

from zsad.config import DatasetParams, Params
from zsad.datasets.fetch import RAW
from zsad.datasets.manifest import FACTS_FILE, MANIFESTS
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
    entry = ENTRIES.get(key) if block.kind == "demo" else None
    facts = read_json(manifest / FACTS_FILE) if (manifest / FACTS_FILE).is_file() else {}
    return Description(
        key=key,
        title=entry.title if entry else "",
        kind=block.kind,
        domain=facts.get("domain") or block.domain or (entry.domain if entry else ""),
        where=block.path if block.kind == "folder" else raw.as_posix(),
        on_disk=raw.is_dir(),
        counts=_counts(facts["counts"]) if facts else "",
        labels=" + ".join(name for name, there in sorted(facts["labels"].items()) if there) if facts else "",
        hash=facts.get("hash", ""),
        licence=entry.licence if entry else "",
    )


def _counts(counts: dict[str, dict[str, int]]) -> str:
    total = {group: sum(category[group] for category in counts.values()) for group in ("train", "normal", "anomalous")}
    return f"{total['train']} + {total['normal']} normal, {total['anomalous']} anomalous, {len(counts)} categories"
