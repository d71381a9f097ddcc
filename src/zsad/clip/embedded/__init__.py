"""The embedded CLIP: weights, model card and loader. zsad_synthetic.pretraining made it."""
