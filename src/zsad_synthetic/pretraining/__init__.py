"""Pretraining of the embedded CLIP: world, stream, losses, and the commands `pretrain`, `export`, `evaluate`."""
