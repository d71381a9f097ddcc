"""Demo datasets."""
def generate(key, out, seed=0): raise NotImplementedError
