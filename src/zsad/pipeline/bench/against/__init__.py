"""`zsad bench --against METHOD=DIR`: an official repository's own loops beside ours, on equal weights and inputs.

Each side is a process of its own, and they take turns. The official one runs the repository's `test.py` and `train.py`
as they are, with arguments for this CLIP. A file a method (anomalyclip, bayes_pfl, cops, faprompt) says what takes the
place of its data, its downloads and its metrics, and which numbers written for ViT-L are replaced. Nothing of the
repository is copied.
"""
