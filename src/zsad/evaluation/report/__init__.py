"""`zsad report`: one self-contained HTML page of all results. What a number says is taken from the cells alone."""
