"""`zsad doctor`: what is missing on this machine, and the command that mends it. A file a subject, a row a finding.

Nothing is changed, and but for an MLflow server no connection is opened unless asked for. torch is imported only where
there is a GPU that it might use.
"""
