"""Tiny copies of the official archives' trees: true names and folders, a few pictures of a few pixels each.

RAW: id of the catalogue → (what draws its tree, [normal, anomalous] test pictures in each of its categories).
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from zsad.datasets.catalogue import Entry

SIZE = (12, 10)  # width, height


class Tree:
    """A tree being drawn: every picture differs from the others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def picture(self, *names: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> None:
        for name in names:
            self.count += 1
            pixels = np.random.default_rng(self.count).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(self._path(name))

    def mask(
        self,
        *names: str,
        value: int = 255,
        mode: str = "L",
        size: tuple[int, int] = SIZE,
        box: tuple[int, int, int, int] = (3, 2, 6, 5),
    ) -> None:
        """Masks with one region (`box`: left, top, right, bottom) of one grey value."""
        left, top, right, bottom = box
        pixels = np.zeros((size[1], size[0]), dtype=np.uint8)
        pixels[top:bottom, left:right] = value
        for name in names:
            Image.fromarray(pixels).convert(mode).save(self._path(name))

    def text(self, name: str, content: str) -> None:
        self._path(name).write_text(content, encoding="utf-8")

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def _path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


Draw = Callable[[Tree, Entry], None]


def mvtec(top: str = "", defect: str = "crack") -> Draw:
    """<top>/<category>/{train/good, test/good, test/<defect>, ground_truth/<defect>}."""

    def draw(tree: Tree, entry: Entry) -> None:
        for name in (f"{top}{category}" for category in entry.categories):
            tree.picture(*(f"{name}/train/good/{i:03d}.png" for i in range(2)))
            tree.picture(*(f"{name}/test/good/{i:03d}.png" for i in range(2)), mode="L")
            tree.picture(*(f"{name}/test/{defect}/{i:03d}.png" for i in range(3)))
            tree.mask(*(f"{name}/ground_truth/{defect}/{i:03d}_mask.png" for i in range(3)))

    return draw


def visa(tree: Tree, entry: Entry) -> None:
    rows = ["object,split,label,image,mask"]
    for name in entry.categories:
        data = f"{name}/Data"
        for number, split in enumerate(("train", "test", "test")):
            tree.picture(path := f"{data}/Images/Normal/{number:04d}.JPG")
            rows.append(f"{name},{split},normal,{path},")
        for number in range(3):
            tree.picture(path := f"{data}/Images/Anomaly/{number:03d}.JPG")
            tree.mask(mask := f"{data}/Masks/Anomaly/{number:03d}.png", value=number + 1)
            rows.append(f"{name},test,anomaly,{path},{mask}")
        tree.text(f"{name}/image_anno.csv", "image,label,mask\n")
    tree.text("split_csv/1cls.csv", "\r\n".join(rows) + "\r\n")
    tree.text("split_csv/2cls_fewshot.csv", "object,split,label,image,mask\n")


def btad(tree: Tree, entry: Entry) -> None:
    for name, picture, mask in (("01", "bmp", "png"), ("02", "png", "png"), ("03", "bmp", "bmp")):
        top = f"BTech_Dataset_transformed/{name}"
        tree.picture(f"{top}/train/ok/0000.{picture}", f"{top}/test/ok/0000.{picture}", f"{top}/test/ok/0001.{picture}")
        tree.picture(*(f"{top}/test/ko/{i:04d}.{picture}" for i in range(3)))
        tree.mask(*(f"{top}/ground_truth/ko/{i:04d}.{mask}" for i in range(3)))


def bayes_pfl(tree: Tree, entry: Entry) -> None:
    for name in entry.categories:
        tree.picture(*(f"DATA/{name}/test/good/{i}.bmp" for i in range(2)))
        tree.picture(*(f"DATA/{name}/test/anomaly/{i}.bmp" for i in range(2)))
        tree.mask(*(f"DATA/{name}/ground_truth/anomaly/{i}.png" for i in range(2)))


def mvtec2(tree: Tree, entry: Entry) -> None:
    for name in (f"mvtec_ad_2/{category}" for category in entry.categories):
        tree.picture(f"{name}/train/good/000_regular.png", f"{name}/validation/good/000_regular.png")
        tree.picture(f"{name}/test_public/good/000_regular.png", f"{name}/test_public/bad/000_overexposed.png")
        tree.mask(f"{name}/test_public/ground_truth/bad/000_overexposed_mask.png")
        tree.picture(f"{name}/test_private/000_regular.png", f"{name}/test_private_mixed/000_mixed.png")


def ksdd(tree: Tree, entry: Entry) -> None:
    """Four pictures, so twelve thirds; the defect is in the middle one of kos02/Part1."""
    for name in (f"kos{folder:02d}/Part{part}" for folder in (1, 2) for part in (0, 1)):
        tree.picture(f"{name}.jpg", mode="L", size=(6, 31))
        tree.mask(f"{name}_label.bmp", value=0, size=(6, 31))
    tree.mask("kos02/Part1_label.bmp", value=1, size=(6, 31), box=(1, 12, 4, 15))


def ksdd2(tree: Tree, entry: Entry) -> None:
    for folder, first in (("train", 10000), ("test", 20000)):
        tree.picture(*(f"{folder}/{first + i}.png" for i in range(3)))
        tree.mask(*(f"{folder}/{first + i}_GT.png" for i in range(2)), value=0)
        tree.mask(f"{folder}/{first + 2}_GT.png")
    tree.picture("train/10001 (copy).png")
    tree.mask("train/10001_GT (copy).png", value=0)
    tree.text("split_weakly_0.pyb", "not to be read")


def rsdd(tree: Tree, entry: Entry) -> None:
    for folder in ("Type-I RSDDs dataset", "Type-II RSDDs dataset"):
        tree.picture(*(f"RSDDs/{folder}/Rail surface images/rail_{i}.jpg" for i in (1, 2)), mode="L")
        tree.mask(*(f"RSDDs/{folder}/GroundTruth/rail_{i}.jpg" for i in (1, 2)))


def dagm(tree: Tree, entry: Entry) -> None:
    """In each part of each class, three normal pictures and number 2 with a defect."""
    for name in (f"{category}/{part}" for category in entry.categories for part in ("Train", "Test")):
        tree.picture(*(f"{name}/{i:04d}.PNG" for i in (1, 2, 3, 4)), mode="L")
        tree.mask(f"{name}/Label/0002_label.PNG")
        rows = [f"{i}\t{int(i == 2)}\t{i:04d}.PNG\t0\t{'0002_label.PNG' if i == 2 else '0'}" for i in (1, 2, 3, 4)]
        tree.text(f"{name}/Label/Labels.txt", "\n".join(["1", *rows]) + "\n")


def aitex(tree: Tree, entry: Entry) -> None:
    """Tiles of 8 instead of 256 px. Two normal pictures of four tiles; two tiles of a defect, with a mask each."""
    tree.picture("NODefect_images/2306881-210020u/0001_000_00.png", mode="L", size=(32, 8))
    tree.picture("NODefect_images/2608691-202020u/0001_000_00.png", mode="L", size=(32, 8))
    tree.picture("Defect_images/0001_002_00.png", "Defect_images/0100_025_08.png", mode="L", size=(30, 8))
    tree.mask("Mask_images/0001_002_00_mask1.png", size=(30, 8), box=(1, 1, 3, 3))
    tree.mask("Mask_images/0001_002_00_mask2.png", size=(30, 8), box=(26, 1, 29, 3))


def elpv(tree: Tree, entry: Entry) -> None:
    """Eight cells of probability 0, two of 1, one of 1/3."""
    data = "elpv-dataset-411fd72/src/elpv_dataset/data"
    values = [0.0] * 8 + [1.0, 1.0, 0.3333333333333333]
    tree.picture(*(f"{data}/images/cell{i:04d}.png" for i in range(1, 12)), mode="L")
    rows = [f"images/cell{i:04d}.png  {value}  {'mono' if i % 2 else 'poly'}" for i, value in enumerate(values, 1)]
    tree.text(f"{data}/labels.csv", "\n".join(rows) + "\n")


def mtd(tree: Tree, entry: Entry) -> None:
    top = "Magnetic-tile-defect-datasets.-cc4eb530"
    for kind in ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven"):
        for number in (1, 2):
            name = f"{top}/MT_{kind}/Imgs/exp1_num_{kind}_{number}"
            tree.picture(f"{name}.jpg", mode="L")
            tree.mask(f"{name}.png", value=0 if kind == "Free" else 255)
    tree.picture(f"{top}/dataset.jpg")


def real_iad(tree: Tree, entry: Entry) -> None:
    ok, bad = "OK/S0001/audiojack_0001_OK_C1_20231021.jpg", "NG/HS/S0064/audiojack__0064_NG_HS_C1_2023.jpg"
    train, mask = "OK/S0002/audiojack_0002_OK_C2_20231021.jpg", bad.replace(".jpg", "_mask.png")
    tree.picture(*(f"realiad_1024/audiojack/{name}" for name in (ok, bad, train)))
    tree.mask(f"realiad_1024/audiojack/{mask}")

    def row(picture: str, mask: str | None, kind: str) -> dict[str, str | None]:
        return {"category": "audiojack", "image_path": picture, "mask_path": mask, "anomaly_class": kind}

    lists = {"meta": {}, "train": [row(train, None, "OK")], "test": [row(ok, None, "OK"), row(bad, mask, "HS")]}
    tree.text("realiad_jsons/realiad_jsons/audiojack.json", json.dumps(lists))
    tree.text("realiad_jsons/realiad_jsons_sv/audiojack.json", "{}")


def headct(tree: Tree, entry: Entry) -> None:
    tree.picture(*(f"head_ct/head_ct/{i:03d}.png" for i in range(7)))
    tree.picture("head_ct/head_ct/007.png", mode="RGBA")
    tree.text("labels.csv", "id, hemorrhage\n" + "".join(f"{i}, {int(i < 4)}\n" for i in range(8)))


def brainmri(tree: Tree, entry: Entry) -> None:
    for top in ("", "brain_tumor_dataset/"):
        tree.picture(f"{top}no/1 no.jpeg", f"{top}no/10 no.jpg", f"{top}no/No11.jpg", f"{top}no/no 6.JPG")
        tree.picture(f"{top}yes/Y1.jpg", f"{top}yes/Y10.JPG", mode="L")


def br35h(tree: Tree, entry: Entry) -> None:
    tree.picture("no/no0.jpg", "no/No11.jpg", "yes/y0.jpg", "yes/y1.jpg", "pred/pred0.jpg")
    tree.picture("Br35H-Mask-RCNN/TRAIN/y0.jpg", "Br35H-Mask-RCNN/VAL/y700.jpg")


def covid19(tree: Tree, entry: Entry) -> None:
    top = "COVID-19_Radiography_Dataset"
    tree.picture(f"{top}/NORMAL/NORMAL (1).png", f"{top}/NORMAL/NORMAL (2).png", mode="L")
    tree.picture(f"{top}/COVID/COVID (1).png", f"{top}/Viral Pneumonia/Viral Pneumonia (1).png", mode="L")


def lag(tree: Tree, entry: Entry) -> None:
    for folder, numbers in (("non_glaucoma", range(1, 6)), ("suspicious_glaucoma", range(6, 8))):
        for kind in ("image", "attention_map"):
            tree.picture(*(f"LAG_database_part_1/{folder}/{kind}/{i:04d}.jpg" for i in numbers))


def isic(tree: Tree, entry: Entry) -> None:
    for number in (3, 12):
        tree.picture(f"ISBI2016_ISIC_Part1_Test_Data/ISIC_{number:07d}.jpg")
        tree.mask(f"ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_{number:07d}_Segmentation.png")


def polyps(tree: Tree, entry: Entry) -> None:
    """Three sets in one archive."""
    for name in ("CVC-ClinicDB", "CVC-ColonDB", "Kvasir"):
        tree.picture(f"Polyp_DataSet/{name}/images/1.png", f"Polyp_DataSet/{name}/images/2.png")
        tree.mask(f"Polyp_DataSet/{name}/masks/1.png", f"Polyp_DataSet/{name}/masks/2.png")


def pairs(top: str, picture: str, mask: str, mode: str = "L", names: tuple[str, str] = ("images", "masks")) -> Draw:
    """<top>/<images>/<stem>.<picture> and <top>/<masks>/<stem>.<mask>."""

    def draw(tree: Tree, entry: Entry) -> None:
        for stem in ("0000", "cju0qkwl35piu"):
            tree.picture(f"{top}/{names[0]}/{stem}.{picture}")
            tree.mask(f"{top}/{names[1]}/{stem}.{mask}", mode=mode)

    return draw


RAW: dict[str, tuple[Draw, list[int]]] = {
    "mvtec": (mvtec(), [2, 3]),
    "visa": (visa, [2, 3]),
    "mpdd": (mvtec("MPDD/"), [2, 3]),
    "btad": (btad, [2, 3]),
    "sdd": (ksdd, [3, 1]),
    "sdd_anomalyclip": (mvtec("SDD/", "defect"), [2, 3]),
    "ksdd2": (ksdd2, [2, 1]),
    "ksdd2_bayespfl": (bayes_pfl, [2, 2]),
    "rsdd": (rsdd, [0, 2]),
    "rsdd_bayespfl": (bayes_pfl, [2, 2]),
    "dagm": (dagm, [3, 1]),
    "dagm_adaclip": (dagm, [2, 2]),
    "dagm7_bayespfl": (bayes_pfl, [2, 2]),
    "dtd_synthetic": (mvtec("DTD-Synthetic/", "bad"), [2, 3]),
    "aitex": (aitex, [2, 2]),
    "elpv": (elpv, [2, 2]),
    "mtd": (mtd, [2, 10]),
    "mvtec2": (mvtec2, [1, 1]),
    "real_iad": (real_iad, [1, 1]),
    "headct": (headct, [4, 4]),
    "headct_inctrl": (headct, [1, 4]),
    "brainmri": (brainmri, [4, 2]),
    "brainmri_inctrl": (brainmri, [1, 2]),
    "brainmri_bayespfl": (brainmri, [2, 1]),
    "br35h": (br35h, [2, 2]),
    "covid19": (covid19, [2, 1]),
    "lag": (lag, [5, 2]),
    "lag_inctrl": (lag, [2, 2]),
    "isic2016": (isic, [0, 2]),
    "colondb": (polyps, [0, 2]),
    "clinicdb": (polyps, [0, 2]),
    "kvasir": (polyps, [0, 2]),
    "kvasir_seg_jpeg": (pairs("Kvasir-SEG", "jpg", "jpg"), [0, 2]),
    "endo": (pairs("EndoTect_2020_Segmentation_Test_Dataset", "jpg", "png", "RGB"), [0, 2]),
    "tn3k": (pairs("Thyroid Dataset/tn3k", "jpg", "jpg", names=("test-image", "test-mask")), [0, 2]),
}
