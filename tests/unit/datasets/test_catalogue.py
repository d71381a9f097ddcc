"""The catalogue of published datasets: every entry is checked, adds up, and names a layout that exists."""

from pathlib import Path

import pytest

from tests.helpers import ROOT
from zsad.common.errors import UserError
from zsad.config.params import load_params
from zsad.config.schema import DatasetParams
from zsad.config.validation import validate
from zsad.datasets.archives import Places
from zsad.datasets.catalogue import FOLDER, Entry, catalogue, published_params
from zsad.datasets.describe import describe
from zsad.datasets.fetch import fetch
from zsad.datasets.layouts import CUTTERS, LAYOUTS
from zsad.datasets.official import layout_of, official_entry

C, B, F, A, D = "cops", "bayes_pfl", "faprompt", "anomalyclip", "adaclip"
# id → number of categories, normal and anomalous test pictures, papers whose rows it stands for.
STATED: dict[str, tuple[int, list[int] | None, set[str]]] = {
    "mvtec": (15, [467, 1258], {C, B, F, A, D}),
    "visa": (12, [962, 1200], {C, B, F, A, D}),
    "mpdd": (6, [176, 282], {C, F, A, D}),
    "btad": (3, [451, 290], {C, B, F, A, D}),
    "sdd": (1, [286, 54], {F, D}),
    "sdd_anomalyclip": (1, [181, 74], {A}),
    "ksdd2": (1, [894, 110], set()),
    "ksdd2_bayespfl": (1, [356, 356], {B}),
    "rsdd": (2, [0, 195], set()),
    "rsdd_bayespfl": (1, [387, 387], {B}),
    "dagm": (10, [6996, 1054], {F, A}),
    "dagm_adaclip": (10, [2100, 2100], {D}),
    "dagm7_bayespfl": (7, [1350, 1350], {B}),
    "dtd_synthetic": (12, [357, 947], {C, B, F, A, D}),
    "aitex": (1, [564, 183], {F}),
    "elpv": (1, [377, 715], {F}),
    "mtd": (1, [952, 392], set()),
    "mvtec2": (8, None, set()),
    "real_iad": (0, [63256, 51329], set()),
    "headct": (1, [100, 100], {C, B, A, D}),
    "headct_inctrl": (1, [25, 100], {F}),
    "brainmri": (1, [98, 155], {C, A, D}),
    "brainmri_inctrl": (1, [25, 155], {F}),
    "brainmri_bayespfl": (1, [85, 68], {B}),
    "br35h": (1, [1500, 1500], {C, B, F, A, D}),
    "covid19": (1, [1341, 219], {A}),
    "lag": (1, [3143, 1711], set()),
    "lag_inctrl": (1, [786, 1711], {F}),
    "isic2016": (1, [0, 379], {C, B, F, A, D}),
    "colondb": (1, [0, 380], {C, B, F, A, D}),
    "clinicdb": (1, [0, 612], {C, B, F, A, D}),
    "kvasir": (1, [0, 1000], {C, B, F, A}),
    "kvasir_seg_jpeg": (1, [0, 1000], set()),
    "endo": (1, [0, 200], {C, B, F, A}),
    "tn3k": (1, [0, 614], {F, A, D}),
}
# How many sets of each domain the papers evaluate on.
PAPERS = {C: (5, 8), B: (7, 8), F: (9, 10), A: (7, 10), D: (7, 7)}


def test_every_set_is_there() -> None:
    assert set(catalogue()) == set(STATED)


@pytest.mark.parametrize("name", sorted(STATED))
def test_entry_agrees_with_what_is_published(name: str) -> None:
    entry, (categories, counts, papers) = catalogue()[name], STATED[name]
    assert len(entry.categories) == categories
    assert (entry.total or entry.sums) == counts
    assert set(entry.papers) == papers
    assert entry.source == ("mvtec" if name == "visa" else "visa")
    assert (entry.role == "source") == (name in {"mvtec", "visa"})
    assert entry.labels.image or not any(normal for normal, _ in filter(None, entry.expected.values()))


def test_kaggle_copies_have_a_way_by_hand_to_the_same_archive() -> None:
    """Where the login is lacking. A copy with another layout or of another release is not fetched at all."""
    found = set()
    for name, entry in catalogue().items():
        for source in (source for source in entry.fetch if source.kind == "kaggle"):
            manual = next(other for other in entry.fetch if other.kind == "manual" and other.file == source.file)
            assert manual.page == f"https://www.kaggle.com/datasets/{source.dataset}"
            assert source.file == source.dataset.rpartition("/")[2] + ".zip"
            found.add(name)
    assert found == {"brainmri", "brainmri_bayespfl", "brainmri_inctrl", "br35h", "headct", "headct_inctrl"}


@pytest.mark.parametrize("name", sorted(STATED))
def test_entry_can_be_read_and_obtained(name: str) -> None:
    entry = catalogue()[name]
    for form in entry.forms:
        layout, options = layout_of(form, name)
        assert all(layout.signature(options))
    by_hand = {part for part, sources in entry.archives.items() if any(s.kind == "manual" for s in sources)}
    assert "" in by_hand or by_hand == set(entry.archives) - {""}, "the whole set can be brought by hand"
    assert all(Path(source.file).name == source.file for source in entry.fetch)


def test_masks_hold_class_numbers_in_two_sets_only() -> None:
    assert {name for name, entry in catalogue().items() if entry.mask_threshold == "nonzero"} == {"visa", "sdd"}


def test_papers_evaluate_on_as_many_sets_as_they_say() -> None:
    for paper, sets in PAPERS.items():
        domains = [entry.domain for entry in catalogue().values() if paper in entry.papers]
        assert (domains.count("industrial"), domains.count("medical")) == sets, paper


def test_no_layout_is_without_an_entry() -> None:
    used = {form.name for entry in catalogue().values() for form in entry.forms}
    assert set(LAYOUTS) == used
    assert {"ksdd_crops", "aitex_tiles"} == set(CUTTERS)


def test_id_needs_the_kind_that_reads_it() -> None:
    with pytest.raises(
        UserError, match=r"p\.yaml: .*`id` names a published set, so it needs `kind: official`, not folder"
    ):
        validate(DatasetParams, {"path": "x", "id": "mvtec"}, "p.yaml")


def test_table_of_datasets_knows_published_sets(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    block = DatasetParams(kind="official", path="data/drop/steel", id="ksdd2")
    params, places = params.model_copy(update={"datasets": {"steel": block}}), Places(tmp_path / "store", tmp_path)
    (line,) = describe(params, tmp_path, tmp_path, places)
    assert (line.title, line.domain, line.licence) == ("KolektorSDD2", "industrial", "CC-BY-NC-SA-4.0")
    assert (line.where, line.on_disk) == ("data/drop/steel", "")
    assert line.counts == "expected: 894 normal, 110 anomalous"


def test_table_of_datasets_shows_what_is_on_disk_of_the_catalogue(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(update={"datasets": {}})
    places = Places(tmp_path / "store", tmp_path / "drop")
    assert describe(params, tmp_path / "raw", tmp_path, places) == []
    (tmp_path / "store/visa").mkdir(parents=True)
    (tmp_path / "store/visa/VisA_20220922.tar").touch()
    (tmp_path / "raw/elpv").mkdir(parents=True)
    elpv, visa = describe(params, tmp_path / "raw", tmp_path, places)
    assert (elpv.key, elpv.where, elpv.on_disk) == ("elpv", "github.com", "fetched")
    assert (visa.key, visa.where, visa.on_disk) == (
        "visa",
        "amazon-visual-anomaly.s3.us-west-2.amazonaws.com",
        "archive",
    )
    assert (visa.counts, visa.licence) == ("expected: 962 normal, 1200 anomalous", "CC-BY-4.0")
    block = published_params("visa")
    named, other = describe(params.model_copy(update={"datasets": {"v": block}}), tmp_path / "raw", tmp_path, places)
    assert (named.key, named.on_disk, named.title, other.key) == ("v", "archive", "VisA", "elpv")


def test_unknown_id_gives_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.mvtek\.kind: no published dataset 'mvtek' .*did you mean mvtec"):
        official_entry("mvtek", DatasetParams(kind="official", path="x"))
    with pytest.raises(UserError, match=r"datasets\.steel\.id: no published dataset 'zzz' .*there are: aitex, "):
        fetch("steel", DatasetParams(kind="official", path="x", id="zzz"), tmp_path / "raw")
    assert official_entry("steel", DatasetParams(kind="official", path="x", id="ksdd2")) == (
        "ksdd2",
        catalogue()["ksdd2"],
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title:", "titel:", r"bad\.yaml: unknown parameter 'titel'; did you mean 'title'"),
        ("domain: industrial", "domain: food", r"bad\.yaml: domain: .*got 'food'"),
        ("[21, 49]", "[21]", r"bad\.yaml: expected\.01: .*at least 2"),
        ('"03": [400, 41]', '"04": [400, 41]', r"expected and categories differ: \['03', '04'\]"),
        ("kind: gdrive, id:", "kind: gdrive, url:", r"fetch\.1: .*gdrive needs `id`"),
        ("kind: gdrive, id:", "kind: kaggle, id:", r"fetch\.1: .*kaggle needs `dataset`"),
        ("kind: gdrive, id: ", "kind: kaggle, dataset: ../", r"fetch\.1\.dataset: .*should match pattern"),
        ("sha256: 461c", "sha256: x61c", r"fetch\.0\.sha256: .*should match pattern"),
        ('"03": metal', '"../03": metal', r"categories.*'\.\./03' is not a plain name"),
        ("file: btad.zip", "file: a/btad.zip", r"fetch\.0\.file: .*'a/btad\.zip' is not a plain name"),
        ("split: its", "total: [1, 2]\nsplit: its", r"total \[1, 2\] is not the sum of expected, \[451, 290\]"),
        ("title: BTAD", "title: [BTAD", r"bad\.yaml: not valid YAML"),
    ],
)
def test_faults_name_file_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (FOLDER / "btad.yaml").read_text()
    assert old in text
    (tmp_path / "bad.yaml").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        catalogue(tmp_path)


def test_unknown_layouts_and_options_are_named() -> None:
    btad = catalogue()["btad"]
    unknown = btad.layout.model_copy(update={"name": "folders"})
    with pytest.raises(UserError, match=r"btad: no layout 'folders'; there are: aitex_tiles, class_folders"):
        layout_of(unknown, "btad")
    mistyped = btad.layout.model_copy(update={"options": {"normal_folder": "ok"}})
    with pytest.raises(UserError, match=r"btad: unknown parameter 'mvtec_like\.normal_folder'; did you mean"):
        layout_of(mistyped, "btad")


def test_an_entry_is_all_that_a_set_needs(tmp_path: Path) -> None:
    (tmp_path / "twin.yaml").write_text((FOLDER / "btad.yaml").read_text())
    assert isinstance(catalogue(tmp_path)["twin"], Entry)
