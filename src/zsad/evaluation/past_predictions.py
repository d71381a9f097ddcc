"""Stored predictions before and after: DVC fetches those of a Git revision from its cache, or from the remote."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from zsad.datasets.manifest import MANIFESTS, Manifest, load_manifest
from zsad.evaluation.regressions import Name
from zsad.evaluation.results import Cell
from zsad.inference.ensemble import RowPredictions, ensemble_file, have_predictions, member_keys, predictions_of
from zsad.inference.stored import PREDICTIONS


class BothSides(NamedTuple):
    """One cell's predictions at a revision and in the working tree, on the same pictures."""

    name: Name
    manifest: Manifest
    before: RowPredictions
    after: RowPredictions


def both_sides(
    commit: str, names: Iterable[Name], before: Mapping[Name, Cell], after: Mapping[Name, Cell]
) -> Iterator[BothSides]:
    """Those of the cells `names` whose predictions are at hand on both sides, `before` being at `commit`.

    At hand: the ones that the result cells were made from, with the dataset's pictures. Each is valid until the next.
    """
    present = [name for name in names if _is_present(name, after[name])]
    if not present:
        return
    from dvc.api import DVCFileSystem  # takes a second

    files = DVCFileSystem(rev=commit)
    for name in present:
        with TemporaryDirectory(prefix="zsad_before_") as scratch:
            then = _fetched(files, name, Path(scratch))
            if then is not None and then.hash == before[name]["prediction_hash"]:
                yield BothSides(name, load_manifest(name[1]), then, predictions_of(*name))


def _is_present(name: Name, cell: Cell) -> bool:
    """Whether the working tree holds pictures and predictions that a cell was made from."""
    if not ((MANIFESTS / name[1]).is_dir() and have_predictions(*name)):
        return False
    manifest, predictions = load_manifest(name[1]), predictions_of(*name)
    same = manifest.hash == cell["dataset_hash"] and predictions.hash == cell["prediction_hash"]
    return same and manifest.root.is_dir()


def _fetched(files, name: Name, root: Path) -> RowPredictions | None:  # type: ignore[no-untyped-def]  # DVC has no types
    """A copy below `root` of the predictions at the revision of `files`; None where cache and remote lack them."""
    from dvc.exceptions import DvcException
    from dvc_data.index.index import DataIndexError

    named = ensemble_file(*name)
    try:
        if files.exists(named.as_posix()):
            files.get(named.as_posix(), str(root / named))
        for member in member_keys(*name, root):
            stored = PREDICTIONS / member / name[1]
            files.get(stored.as_posix(), str(root / stored), recursive=True)
    except (DataIndexError, DvcException, OSError):  # how DVC says that it does not have them
        return None
    return predictions_of(*name, root)
