"""`zsad fetch`, `index`, `datasets`: raw data, manifests, and what there is."""

import argparse

from zsad.cli.parsing import Commands, add_command, print_table
from zsad.common.errors import UserError


def add_commands(commands: Commands) -> None:
    """The commands of datasets."""
    fetch = add_command(
        commands, "fetch", _fetch, "bring the raw data of a dataset, or the archives of all published ones"
    )
    fetch.add_argument("dataset", nargs="?", help="key of params.yaml, or id of a published set")
    fetch.add_argument("--all", action="store_true", help="the archives of every published set")
    fetch.add_argument("--dry-run", action="store_true", help="with --all: say what would be done, open no connection")
    fetch.add_argument(
        "--accept-licence",
        dest="accepted",
        action="append",
        default=[],
        metavar="ID",
        help="you accept the licence of this published set; kept in data/accepted_licences.yaml; may be repeated",
    )
    add_command(commands, "index", _index, "build a dataset's manifest and report what is in it", "dataset")
    datasets = add_command(commands, "datasets", _datasets, "the datasets of params.yaml and what of them is on disk")
    datasets.add_argument("--all", action="store_true", help="the catalogue: every published set that is known")


def _fetch(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.datasets.archives import accept_all, bring_all, plans
    from zsad.datasets.catalogue import published_params
    from zsad.datasets.fetch import fetch
    from zsad.datasets.official import official_entry

    if bool(arguments.dataset) == arguments.all:
        raise UserError("fetch: name one dataset, or give --all")
    if arguments.dry_run and not arguments.all:
        raise UserError("fetch: --dry-run goes with --all")
    if arguments.dry_run:
        print(*plans(), sep="\n")
        return
    datasets = load_params().datasets
    if arguments.accepted:
        accept_all(arguments.accepted, dict(official_entry(k, b) for k, b in datasets.items() if b.kind == "official"))
    if arguments.all:
        for line in bring_all():
            print(line)
        return
    fetch(arguments.dataset, datasets.get(arguments.dataset) or published_params(arguments.dataset))


def _index(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.datasets.describe import report
    from zsad.datasets.index import index

    params = load_params()
    print(*report(params, index(arguments.dataset, params.dataset(arguments.dataset))), sep="\n")


def _datasets(arguments: argparse.Namespace) -> None:
    from zsad.config.params import load_params
    from zsad.datasets.describe import describe, published

    if arguments.all:
        print_table([vars(row) for row in published()])
        return
    print_table([vars(row) for row in describe(load_params())])
    print(f"{len(published())} published sets are in the catalogue: zsad datasets --all")
