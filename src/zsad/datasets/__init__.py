"""From the place where pictures lie to a verified manifest: demo sets, published sets, people's own.

May import `common` and `config`.
"""
