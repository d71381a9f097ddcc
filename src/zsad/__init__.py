"""Zero-shot anomaly detection with learned CLIP prompts."""

__version__ = "0.1.0"
