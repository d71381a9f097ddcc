"""Figures that papers print, each with where it was read, and our cells beside them."""
