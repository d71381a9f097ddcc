"""DICOM: one grey or colour frame as a viewer shows it, through the window of its header. Wants `pydicom`."""

from typing import IO, Any

import numpy as np
from PIL import Image

MAGIC = b"DICM"
MAGIC_AT = 128  # bytes
INVERTED = "MONOCHROME1"  # 0 is white
GREYS = (INVERTED, "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PLUGINS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


def is_dicom(file: IO[bytes]) -> bool:
    """Whether a file says that it is DICOM; reads from its beginning and goes back there."""
    head = file.read(MAGIC_AT + len(MAGIC))
    file.seek(0)
    return head[MAGIC_AT:] == MAGIC


def read_dicom(file: IO[bytes]) -> Image.Image:
    """The picture in a DICOM file, 8-bit grey or RGB. ValueError, with the remedy, for what is not one plain frame."""
    try:
        import pydicom
        from pydicom.errors import BytesLengthException, InvalidDicomError
    except ModuleNotFoundError:
        raise ValueError("DICOM is read by pydicom, which is not installed: pip install 'zsad[dicom]'") from None
    try:
        header = pydicom.dcmread(file)
        kind = header.PhotometricInterpretation
        _check(header, kind)
        pixels = _pixels(header)
        return Image.fromarray(_grey(header, pixels, kind) if kind in GREYS else _colour(header, pixels))
    except (AttributeError, NotImplementedError, InvalidDicomError, BytesLengthException) as error:
        raise ValueError(f"DICOM without what a picture needs: {error}") from error


def _check(header: Any, kind: str) -> None:
    frames = int(header.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise ValueError(f"DICOM of {frames} frames; save each frame as a file of its own")
    if kind not in (*GREYS, *COLOURS):
        raise ValueError(f"DICOM with {kind} pixels; save it as grey or RGB")


def _pixels(header: Any) -> np.ndarray:
    """Stored values [H, W], or RGB [H, W, 3]: YBR is converted."""
    from pydicom.pixels import pixel_array

    try:
        return pixel_array(header)
    except RuntimeError as error:  # no plugin for this compression
        syntax = header.file_meta.TransferSyntaxUID.name
        raise ValueError(f"DICOM compressed as {syntax}: {PLUGINS}, or save it uncompressed") from error


def _colour(header: Any, pixels: np.ndarray) -> np.ndarray:
    if header.BitsAllocated != 8:
        raise ValueError(f"DICOM with {header.BitsAllocated} bits a colour; save it with 8")
    return np.ascontiguousarray(pixels)


def _grey(header: Any, pixels: np.ndarray, kind: str) -> np.ndarray:
    """Stored values → the modality's units → the window → uint8."""
    values = pixels * float(header.get("RescaleSlope", 1) or 1) + float(header.get("RescaleIntercept", 0) or 0)
    shown = _windowed(header, values) if "WindowCenter" in header else _whole(header, pixels)
    grey = np.rint(shown * 255).astype(np.uint8)
    return 255 - grey if kind == INVERTED else grey


def _windowed(header: Any, values: np.ndarray) -> np.ndarray:
    """Values through the header's first window, in [0, 1] (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
    centre, width = _first(header.WindowCenter), _first(header.WindowWidth)
    form = header.get("VOILUTFunction", "LINEAR") or "LINEAR"
    if width <= 0 or (width < 1 and form == "LINEAR"):
        raise ValueError(f"DICOM with a window of width {width:g}; mend WindowWidth in its header")
    if form == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if form == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0, 1)
    return np.clip((values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5, 0, 1)


def _whole(header: Any, pixels: np.ndarray) -> np.ndarray:
    """8-bit pixels need no window; deeper ones would be dark or pale without."""
    if header.BitsStored > 8 or header.PixelRepresentation:
        raise ValueError(f"DICOM of {header.BitsStored} bits without a window; set WindowCenter and WindowWidth")
    return pixels / (2**header.BitsStored - 1)


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)
