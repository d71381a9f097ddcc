"""People's own pictures, from what they name to what they look at. The way of a picture:

    sources → decoding (opening: depth, dicom) → a model → outputs (regions), ledger → table

`run` is the loop between them; sources, outputs and table know nothing of it.
"""
