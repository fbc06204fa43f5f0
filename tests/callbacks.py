"""Callbacks of scikit-learn's protocol that test modules share."""

import joblib


class Callback:
    """A callback that does nothing."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        pass


class Saves(Callback):
    """Saves the model of every epoch, as a file with the epoch's number."""

    def __init__(self, folder):
        self.folder = folder

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "epoch":
            joblib.dump(fitted_estimator, self.folder / f"{context.task_id}.joblib")
