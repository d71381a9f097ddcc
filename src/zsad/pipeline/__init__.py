"""How the grid is run: what each stage's code is, which backbone a configuration has, what is left of removed keys.

May import every room but `cli`. Nothing imports it but `cli`.
"""
