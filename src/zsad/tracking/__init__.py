"""MLflow: runs replayed from files, the model registry, serving. It observes, and decides nothing.

May import `evaluation` and what that may import. The only room that imports mlflow.
"""
