"""Is one configuration better than another, and how sure is that? `zsad compare` and a section of the report."""
