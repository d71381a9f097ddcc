"""The methods: a file each, or a folder whose `__init__` reads as the method.

`base` and `few_shot` are the contracts, `lookup` finds a method by name, `shared` holds what several are built from.
May import `clip` and what that may import. A method knows neither the loop that trains it nor the files it ends in.
"""
