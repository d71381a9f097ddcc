"""Imported once, by the process that workers are forked from: what stages spend their first seconds on.

It must neither compute nor start a thread: a fork copies only the thread that forks. What is imported is kept from the
garbage collector, which would look through a million objects in every worker, and so copy the pages that they are on.
"""

# ruff: noqa: E402, F401
import gc

gc.disable()

from importlib import import_module

try:
    for name in (  # with MLflow's, which it imports with their first use: 1 s of each training
        *("cv2", "open_clip"),
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    ):
        import_module(name)

    import zsad.evaluation.aggregate
    import zsad.evaluation.score
    import zsad.inference.batches
    import zsad.pipeline.backbones
    import zsad.pipeline.stage_code
    import zsad.tracking.register
    import zsad.training.adapt
    import zsad.training.train
    from zsad.learners.lookup import learner_class, methods

    for method in methods():
        learner_class(method)
finally:  # a method that cannot be imported is its cells' to tell of: Python's forkserver goes on without a word
    gc.freeze()
    gc.enable()
