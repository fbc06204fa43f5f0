"""
=============================
Optuna, with pruning by epoch
=============================

A callback reports the log loss of validation rows after every epoch, and a trial that does worse
than the median of the others at that epoch is given up. ``pip install optuna``.
"""

import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_val, y_train, y_val = train_test_split(X, y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X_train)
X_train, X_val = scaler.transform(X_train), scaler.transform(X_val)


class ReportToOptuna:
    """Ends training where Optuna says so."""

    def __init__(self, trial):
        self.trial = trial

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name != "epoch":
            return False
        loss = log_loss(y_val, fitted_estimator.predict_proba(X_val))
        self.trial.report(loss, step=context.task_id)
        return self.trial.should_prune()


def objective(trial):
    model = DeepBinaryClassifier(
        (trial.suggest_int("units", 4, 64, log=True),),
        alpha=trial.suggest_float("alpha", 1e-3, 10, log=True),
        learning_rate_init=trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        max_iter=20,
        tol=None,
        random_state=0,
    )
    model.set_callbacks(ReportToOptuna(trial)).fit(X_train, y_train)
    if model.n_iter_ < model.max_iter:
        raise optuna.TrialPruned
    return log_loss(y_val, model.predict_proba(X_val))


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
)
study.optimize(objective, n_trials=20)
n_pruned = sum(trial.state.name == "PRUNED" for trial in study.trials)
print(f"{n_pruned} of {len(study.trials)} trials were pruned")
print(f"log loss {study.best_value:.3f} with {study.best_params}")
