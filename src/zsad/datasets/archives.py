"""A published set from its archives: which to bring, from where, and all of them unpacked into one folder."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from zsad.common.errors import UserError
from zsad.datasets.catalogue import Entry, Source, catalogue
from zsad.datasets.images import IMAGE_SUFFIXES
from zsad.datasets.layouts import Files
from zsad.datasets.licences import accept, is_accepted, require_accepted
from zsad.datasets.listing import list_images
from zsad.datasets.official import READ_SUFFIXES, is_known_form
from zsad.datasets.places import HERE, Places
from zsad.datasets.transport.access import access_named
from zsad.datasets.transport.extract import extract, unpacking_into

Way = dict[str, list[Source]]  # part → where to get it: archives that make up a set together


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


@dataclass(frozen=True)
class ByHand:
    """What the user unpacked of a set, as 7z and rar archives need it.

    folder: where; None without a picture in a folder there. lacking: parts that are not among it, with their sources.
    """

    folder: Path | None = None
    lacking: Way = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing else has to be brought."""
        return self.folder is not None and not self.lacking


def bring(identifier: str, entry: Entry, places: Places = HERE, by_hand: ByHand | None = None) -> list[Path]:
    """All archives of a set that are not unpacked, verified.

    UserError when its licence is not accepted, or with all archives that cannot be had.
    """
    require_accepted(identifier, entry, places.accepted)
    by_hand = by_hand or unpacked_by_hand(identifier, entry, places)
    ways = [by_hand.lacking] if by_hand.folder else _ways(entry)
    failures: list[str] = []
    for way in sorted(ways, key=lambda way: not _is_here(identifier, way, places)):
        archives, problems = _obtain_all(identifier, way, places)
        if not problems:
            return archives
        failures += problems
    raise UserError("\n".join(failures))


def unpack(identifier: str, entry: Entry, directory: Path, places: Places = HERE) -> Path:
    """Put the files of all archives of a set side by side; returns the folder below `directory` where they are.

    `directory` exists and is empty. Of parts that the user unpacked, their files are copied.
    """
    tree, inner = directory / "tree", directory / "archive"
    tree.mkdir()
    by_hand = unpacked_by_hand(identifier, entry, places)
    archives = bring(identifier, entry, places, by_hand)
    if by_hand.folder:
        _copy(by_hand.folder, tree)
    for archive in archives:
        extract(archive, inner, nested=entry.nested, by_hand=unpacking_into(places.drop / identifier))
        _merge(inner, tree, archive)
    return tree


def unpacked_by_hand(identifier: str, entry: Entry, places: Places = HERE) -> ByHand:
    """What the user unpacked of a set; a part counts as unpacked when a folder there has its name or its archive's."""
    folder = places.drop / identifier
    names = list_images(folder, READ_SUFFIXES) if folder.is_dir() else []
    if not any(_is_picture(name) and "/" in name for name in names):
        return ByHand()
    parts = {part: sources for part, sources in entry.archives.items() if part}
    folders = {above for name in names if _is_picture(name) for above in PurePosixPath(name).parts[:-1]}
    lacking = {part: sources for part, sources in parts.items() if not folders & _names_of(part, sources)}
    known = is_known_form(entry, Files(folder, tuple(names)))
    used = any(_kept(identifier, part, sources, places) for part, sources in lacking.items())
    if len(lacking) == len(parts) or (known and not used):  # a whole in another form
        return ByHand(folder)
    return ByHand(folder, lacking)


def bring_all(places: Places = HERE) -> Iterator[str]:
    """Bring the archives of every set of the catalogue; yields a line for each that is here, and fails at the end."""
    failures = []
    for identifier, entry in catalogue().items():
        try:
            with access_named():
                by_hand = unpacked_by_hand(identifier, entry, places)
                here = [] if by_hand.is_whole else bring(identifier, entry, places, by_hand)
            here = [by_hand.folder, *here] if by_hand.folder else here
            yield f"{identifier}: {', '.join(path.as_posix() for path in here)}"
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("\n".join(failures))


@access_named()
def accept_all(identifiers: Sequence[str], own: Mapping[str, Entry], places: Places = HERE) -> None:
    """Record that the licences of these sets, of the catalogue or the user's `own`, are accepted."""
    known = {**catalogue(), **own}
    for identifier in identifiers:
        if identifier not in known:
            raise UserError(f"--accept-licence {identifier}: no such set; there are: {', '.join(known)}")
        accept(identifier, known[identifier], places.accepted)


@access_named()
def plans(places: Places = HERE) -> list[Plan]:
    """What fetching each set of the catalogue would do, told without opening a connection."""
    return [
        Plan(name, entry.title, _size(entry), _licence(name, entry, places), _steps(name, entry, places))
        for name, entry in catalogue().items()
    ]


def _ways(entry: Entry) -> list[Way]:
    """The archives that make up the set: one for the whole, or all the parts."""
    archives = entry.archives.items()
    ways = ({part: sources for part, sources in archives if (not part) is whole} for whole in (True, False))
    return [way for way in ways if way]


def _is_here(identifier: str, way: Way, places: Places) -> bool:
    """Whether all archives of this way were fetched before, or put here under their names."""
    return all(_kept(identifier, part, sources, places) for part, sources in way.items())


def _kept(identifier: str, part: str, sources: Sequence[Source], places: Places) -> Path | None:
    paths = (folder / identifier / part / source.file for folder in (places.store, places.drop) for source in sources)
    return next((path for path in paths if path.is_file()), None)


def _obtain_all(identifier: str, way: Way, places: Places) -> tuple[list[Path], list[str]]:
    """(archives, problems); the search goes on after a problem, so that people hear of all at once."""
    archives, problems = [], []
    for part, sources in way.items():
        try:
            archives.append(_obtain(identifier, part, sources, places))
        except UserError as error:
            problems.append(str(error))
    return archives, problems


def _obtain(identifier: str, part: str, sources: Sequence[Source], places: Places) -> Path:
    from zsad.datasets.transport.transfer import Remote, obtain  # HTTP clients: not for those who only look

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


def _copy(folder: Path, tree: Path) -> None:
    """Copies of the user's files: theirs are not touched, nor linked to what others may change."""
    for name in list_images(folder, READ_SUFFIXES):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, tree / name)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def _names_of(part: str, sources: Iterable[Source]) -> set[str]:
    """What the folder of an unpacked part may be called."""
    return {part, *(PurePosixPath(source.file).stem for source in sources)}


def published_size(entry: Entry) -> int | None:
    """Bytes of a set's archives, as published; None where one of them has no published size."""
    sizes = [next((source.size for source in sources if source.size), None) for sources in _ways(entry)[0].values()]
    return sum(size for size in sizes if size) if all(sizes) else None


def _size(entry: Entry) -> str:
    size = published_size(entry)
    return decimal(size) if size else "size not published"


def _licence(identifier: str, entry: Entry, places: Places) -> str:
    asks = "" if is_accepted(identifier, entry, places.accepted) else f", needs --accept-licence {identifier}"
    return f"licence: {entry.licence.id}{asks}"


def _steps(identifier: str, entry: Entry, places: Places) -> tuple[str, ...]:
    by_hand = unpacked_by_hand(identifier, entry, places)
    ways = [by_hand.lacking] if by_hand.folder else _ways(entry)
    unpacked = [f"here, unpacked: {by_hand.folder}"] if by_hand.folder else []
    parts = (item for way in ways for item in way.items())
    steps = (step for part, sources in parts for step in _steps_of_part(identifier, part, sources, places))
    return (*unpacked, *steps)


def _steps_of_part(identifier: str, part: str, sources: Sequence[Source], places: Places) -> list[str]:
    if path := _kept(identifier, part, sources, places):
        return [f"here: {path}"]
    label = f"{part}: " if part else ""
    return [label + _describe(source, places.drop / identifier / part) for source in sources]


def _describe(source: Source, drop: Path) -> str:
    by_hand = f"by hand: {source.file} from {source.page} into {drop}/"
    kaggle = f"Kaggle {source.dataset}, through the package kaggle, with login"
    drive = f"Google Drive {source.id}"
    return {"direct": source.url, "gdrive": drive, "kaggle": kaggle, "manual": by_hand}[source.kind]
