"""Image and pixel metrics."""

IMAGE_METRICS = ("image_auroc", "image_ap", "image_f1max")
PIXEL_METRICS = ("pixel_auroc", "pixel_ap", "pixel_f1max", "pixel_aupro")
METRICS = IMAGE_METRICS + PIXEL_METRICS
HEADLINES = ("image_auroc", "pixel_aupro")  # finding anomalous pictures; showing where
