"""What several methods are built from: losses, hand-written prompts, mosaics."""
