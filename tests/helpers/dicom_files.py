"""DICOM files as scanners write them, made here, and what is read of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, generate_uid

from tests.helpers.stored_pictures import Case

CT = np.random.RandomState(2).randint(0, 4096, (30, 40)).astype(np.uint16)  # stored; −1024 gives Hounsfield units
EIGHT = (CT >> 4).astype(np.uint8)
GREY = "DICOM, grey, with a window in its header or 8 bits"
REFUSED = "DICOM of several frames, of more than 8 bits without a window, with a palette"
SYNTAX = "DICOM in a compression that pydicom needs a plugin for"


def dicom(pixels: np.ndarray, **changes: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = changes.pop("syntax", ExplicitVRLittleEndian)
        header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        header.Rows, header.Columns = pixels.shape[:2]
        header.BitsAllocated = pixels.dtype.itemsize * 8
        header.BitsStored = 12 if pixels.dtype.itemsize == 2 else 8
        header.HighBit = header.BitsStored - 1
        header.PixelRepresentation = 0
        header.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
        header.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
        if pixels.ndim == 3:
            header.PlanarConfiguration = 0
        header.PixelData = pixels.tobytes()
        for name, value in changes.items():
            setattr(header, name, value)
        header.save_as(path, enforce_file_format=True)

    return write


def compressed(path: Path) -> None:
    dicom(EIGHT, syntax=JPEGLSLossless, PixelData=encapsulate([b"\xff\xd8\xff\xf7\x00\x0b\xff\xd9"]))(path)


def rle(path: Path) -> None:
    dicom(EIGHT)(path)
    from pydicom import dcmread

    header = dcmread(path)
    header.compress(RLELossless)
    header.save_as(path)


def grey(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


HU = CT.astype(float) - 1024
LUNG = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": -600, "WindowWidth": 1500}
SEEN = grey((HU + 600.5) / 1499 + 0.5)
SIGMOID = grey(1 / (1 + np.exp(-4 * (HU + 600) / 1500)))
FILM = {"NumberOfFrames": 3, "PixelData": EIGHT.tobytes() * 3}
COLOURS = np.random.RandomState(3).randint(0, 256, (30, 40, 3)).astype(np.uint8)

DICOM_CASES = [
    Case(GREY, "ct.dcm", dicom(CT, **LUNG), SEEN),
    Case(GREY, "without_suffix", dicom(CT, **LUNG), SEEN),
    Case(GREY, "two_windows.dcm", dicom(CT, **{**LUNG, "WindowCenter": [-600, 40], "WindowWidth": [1500, 400]}), SEEN),
    Case(GREY, "inverted.dcm", dicom(CT, **LUNG, PhotometricInterpretation="MONOCHROME1"), 255 - SEEN),
    Case(GREY, "exact.dcm", dicom(CT, **LUNG, VOILUTFunction="LINEAR_EXACT"), grey((HU + 600) / 1500 + 0.5)),
    Case(GREY, "sigmoid.dcm", dicom(CT, **LUNG, VOILUTFunction="SIGMOID"), SIGMOID),
    Case(GREY, "ultrasound.dcm", dicom(EIGHT), EIGHT[..., None].repeat(3, axis=2)),
    Case(GREY, "rle.dcm", rle, EIGHT[..., None].repeat(3, axis=2)),
    Case("DICOM, colour of 8 bits", "endoscopy.dcm", dicom(COLOURS), COLOURS),
    Case(REFUSED, "mr.dcm", dicom(CT), refused="12 bits without a window; set WindowCenter and WindowWidth"),
    Case(REFUSED, "film.dcm", dicom(EIGHT, **FILM), refused="3 frames; save each"),
    Case(REFUSED, "palette.dcm", dicom(EIGHT, PhotometricInterpretation="PALETTE COLOR"), refused="with PALETTE"),
    Case(REFUSED, "narrow.dcm", dicom(CT, WindowCenter=5, WindowWidth=0), refused="width 0; mend WindowWidth"),
    Case(REFUSED, "report.dcm", dicom(EIGHT, PhotometricInterpretation=None), refused="DICOM"),
    Case(SYNTAX, "jpeg_ls.dcm", compressed, refused="compressed as JPEG-LS Lossless.*pip install pylibjpeg"),
]  # fmt: skip
