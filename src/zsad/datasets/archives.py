"""A published set from its archives: which to bring, from where, and all of them unpacked into one folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.filesize import decimal

from zsad.datasets.catalogue import Entry, Source, catalogue
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.licences import ACCEPTED, accept, is_accepted, require_accepted
from zsad.datasets.transport.download import PATIENT, Policy
from zsad.datasets.transport.extract import DROP, extract
from zsad.datasets.transport.transfer import LOCK, STORE, Remote, obtain
from zsad.errors import UserError


@dataclass(frozen=True)
class Places:
    """Where archives are kept, where the user puts them, what was seen and accepted before; and how patient to be."""

    store: Path = STORE
    drop: Path = DROP
    lock: Path = LOCK
    accepted: Path = ACCEPTED
    policy: Policy = PATIENT


HERE = Places()


@dataclass(frozen=True)
class Plan:
    """What fetching a published set would do; `steps` are tried in order."""

    id: str
    title: str
    size: str
    licence: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return "\n  ".join([f"{self.id}: {self.title}; {self.size}; {self.licence}", *self.steps])


def bring(identifier: str, entry: Entry, places: Places = HERE) -> list[Path]:
    """All archives of a set, verified. UserError when its licence is not accepted or an archive cannot be had."""
    require_accepted(identifier, entry, places.accepted)
    failures = []
    for way in sorted(_ways(entry), key=lambda way: not _is_here(identifier, way, places)):
        try:
            return [_obtain(identifier, part, sources, places) for part, sources in way.items()]
        except UserError as error:
            failures.append(str(error))
    raise UserError("\n".join(failures))


def unpack(identifier: str, entry: Entry, directory: Path, places: Places = HERE) -> None:
    """Put the files of all archives of a set side by side into `directory`, which exists and is empty."""
    for archive in bring(identifier, entry, places):
        with TemporaryDirectory(dir=directory.parent) as scratch:
            extract(archive, Path(scratch) / "tree", nested=entry.nested, drop=places.drop / identifier)
            _merge(Path(scratch) / "tree", directory, archive)


def unpacked_by_hand(identifier: str, places: Places = HERE) -> Path | None:
    """Where the user unpacked the set, as 7z and rar archives need it; None without a picture in a folder there."""
    folder = places.drop / identifier
    if not folder.is_dir():
        return None
    return folder if any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.glob("*/**/*")) else None


def bring_all(places: Places = HERE) -> Iterator[str]:
    """Bring the archives of every set of the catalogue; yields a line for each that is here, and fails at the end."""
    failures = []
    for identifier, entry in catalogue().items():
        if folder := unpacked_by_hand(identifier, places):
            yield f"{identifier}: {folder}"
            continue
        try:
            archives = bring(identifier, entry, places)
            yield f"{identifier}: {', '.join(path.as_posix() for path in archives)}"
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("\n".join(failures))


def accept_all(identifiers: Sequence[str], own: Mapping[str, Entry], places: Places = HERE) -> None:
    """Record that the licences of these sets, of the catalogue or the user's `own`, are accepted."""
    known = {**catalogue(), **own}
    for identifier in identifiers:
        if identifier not in known:
            raise UserError(f"--accept-licence {identifier}: no such set; there are: {', '.join(known)}")
        accept(identifier, known[identifier], places.accepted)


def plans(places: Places = HERE) -> list[Plan]:
    """What fetching each set of the catalogue would do, told without opening a connection."""
    return [
        Plan(name, entry.title, _size(entry), _licence(name, entry, places), _steps(name, entry, places))
        for name, entry in catalogue().items()
    ]


def _ways(entry: Entry) -> list[dict[str, list[Source]]]:
    """The archives that make up the set: one for the whole, or all the parts."""
    archives = entry.archives.items()
    ways = ({part: sources for part, sources in archives if (not part) is whole} for whole in (True, False))
    return [way for way in ways if way]


def _is_here(identifier: str, way: dict[str, list[Source]], places: Places) -> bool:
    """Whether all archives of this way were fetched before, or put here under their names."""
    return all(_kept(identifier, part, sources, places) for part, sources in way.items())


def _kept(identifier: str, part: str, sources: Sequence[Source], places: Places) -> Path | None:
    paths = (folder / identifier / part / source.file for folder in (places.store, places.drop) for source in sources)
    return next((path for path in paths if path.is_file()), None)


def _obtain(identifier: str, part: str, sources: Sequence[Source], places: Places) -> Path:
    key = f"{identifier}/{part}" if part else identifier
    remotes = [Remote(**source.model_dump(include={field.name for field in fields(Remote)})) for source in sources]
    return obtain(key, remotes, places.store, places.drop, places.lock, places.policy)


def _merge(tree: Path, directory: Path, archive: Path) -> None:
    """Move the files of `tree` into `directory`; folders of the same name become one."""
    for path in sorted(tree.rglob("*")):
        target = directory / path.relative_to(tree)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif target.exists():
            raise UserError(f"{archive}: {path.relative_to(tree)} is in another archive of this set as well")
        else:
            path.replace(target)


def _size(entry: Entry) -> str:
    sizes = [next((source.size for source in sources if source.size), None) for sources in _ways(entry)[0].values()]
    return decimal(sum(size for size in sizes if size)) if all(sizes) else "size not published"


def _licence(identifier: str, entry: Entry, places: Places) -> str:
    asks = "" if is_accepted(identifier, entry, places.accepted) else f", needs --accept-licence {identifier}"
    return f"licence: {entry.licence.id}{asks}"


def _steps(identifier: str, entry: Entry, places: Places) -> tuple[str, ...]:
    if folder := unpacked_by_hand(identifier, places):
        return (f"here, unpacked: {folder}",)
    parts = (item for way in _ways(entry) for item in way.items())
    return tuple(step for part, sources in parts for step in _steps_of_part(identifier, part, sources, places))


def _steps_of_part(identifier: str, part: str, sources: Sequence[Source], places: Places) -> list[str]:
    if path := _kept(identifier, part, sources, places):
        return [f"here: {path}"]
    label = f"{part}: " if part else ""
    return [label + _describe(source, places.drop / identifier / part) for source in sources]


def _describe(source: Source, drop: Path) -> str:
    by_hand = f"by hand: {source.file} from {source.page} into {drop}/"
    return {"direct": source.url, "gdrive": f"Google Drive {source.id}", "manual": by_hand}[source.kind]
