"""Zero-shot anomaly detection with learned CLIP prompts."""

import os

# Before torch loads OpenMP: threads that spin while they wait make a busy CPU 20 to 40 times slower (measured on two
# cores with one other process running), and cost nothing to put to sleep on an idle one.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
