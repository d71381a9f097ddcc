"""The embedded CLIP: architecture, weights and the procedural world it was pretrained on."""
