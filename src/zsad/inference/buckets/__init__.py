"""Folders and buckets of any size, scored by workers that Ray keeps: `zsad predict --engine ray`.

The driver lists (`places`), tasks read and decode (`reading`), actors hold the model and write (`scoring`), and what is
written tells a later run what is left (`parts`).
"""
