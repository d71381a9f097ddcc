"""params.yaml as typed values, profiles that change it, and what a configuration resolves to.

May import `common`.
"""
