"""`zsad bench`: how fast this machine runs the frozen tower, and what each method costs beside it."""
