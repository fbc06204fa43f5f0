"""Checkpoints of the many fits of a search."""

import gc
import warnings
import weakref

import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn.classifier
from skdnn import Checkpoint
from skdnn.training.training import Training
from tests.callbacks import Callback
from tests.checkpoints import (
    N_EPOCHS,
    Counter,
    make_model,
    make_rows,
)
from tests.models import learned

GRID = {"alpha": [0.0, 1.0], "solver": ["adam", "gd"]}


def searched(estimator, grid, type_=GridSearchCV, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitFailedWarning)
        search = type_(estimator, grid, cv=2, **keywords)
        return search.fit(*make_rows())


def scores_of(search):
    return {k: list(v) for k, v in search.cv_results_.items() if "time" not in k}


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_fit_of_a_search_has_a_file_of_its_own(n_jobs, tmp_path):
    model = make_model().set_callbacks(Checkpoint(tmp_path / "run.ckpt"))
    search = searched(model, GRID, n_jobs=n_jobs)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == [
        "run.fit-0.refit-with-best-params-1.ckpt",
        *(f"run.fit-0.search-0.candidate-split-evaluation-{i}.ckpt" for i in range(8)),
    ]
    assert scores_of(search) == scores_of(searched(make_model(), GRID))


class FailingLater(Callback):
    """Ends the search in the third epoch of its fourth fit."""

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id == 2 and context.parent.task_id == 3:
            raise KeyboardInterrupt


def counting(folder, *others, **parameters):
    """Return a model with checkpoints in a folder, and what counts its epochs."""
    folder.mkdir(exist_ok=True)
    counter = Counter(folder.parent / "epochs")
    model = make_model(**parameters)
    return model.set_callbacks(Checkpoint(folder / "run.ckpt"), counter, *others), counter


def test_search_that_was_stopped_trains_nothing_twice(tmp_path):
    model, counter = counting(tmp_path / "files", FailingLater())
    with pytest.raises(KeyboardInterrupt):
        searched(model, GRID)
    assert counter.count() == 3 * N_EPOCHS + 3
    model, counter = counting(tmp_path / "files")
    search = searched(model, GRID, n_jobs=2)
    assert counter.count() == 9 * N_EPOCHS - (3 * N_EPOCHS + 3)
    assert scores_of(search) == scores_of(searched(make_model(), GRID))


def test_finished_search_gives_its_result_at_once(tmp_path):
    model, counter = counting(tmp_path / "files")
    first = searched(model, GRID)
    assert counter.count() == 9 * N_EPOCHS
    again = searched(model, GRID)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)
    assert learned(again.best_estimator_) == learned(first.best_estimator_)


class Survivors(Callback):
    """Notes, when a fit begins, how many networks of fits before it are still in memory."""

    def __init__(self):
        self.trainings, self.counts = weakref.WeakSet(), []

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "fit":
            gc.collect()
            self.counts.append(len(self.trainings))


def test_search_keeps_no_network_of_a_fit_that_is_over(tmp_path, monkeypatch):
    survivors = Survivors()

    class Tracked(Training):
        def __init__(self, *arguments, **keywords):
            survivors.trainings.add(self)
            super().__init__(*arguments, **keywords)

    monkeypatch.setattr(skdnn.classifier, "Training", Tracked)
    model, _ = counting(tmp_path / "files", survivors)
    searched(model, {"alpha": [0.0, 1.0]})
    assert survivors.counts == [0] * 5


def test_networks_in_pipelines_have_files_of_their_own(tmp_path):
    model, counter = counting(tmp_path / "files")
    grid = {"deepbinaryclassifier__alpha": [0.0, 1.0]}
    first = searched(make_pipeline(StandardScaler(), model), grid, n_jobs=2)
    assert counter.count() == 5 * N_EPOCHS
    assert len(list((tmp_path / "files").iterdir())) == 5
    again = searched(make_pipeline(StandardScaler(), model), grid)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)


def test_rounds_of_a_halving_search_have_files_of_their_own(tmp_path):
    model, counter = counting(tmp_path / "files", batch_size=5)
    options = {"type_": HalvingGridSearchCV, "min_resources": 20, "random_state": 0}
    first = searched(model, {"alpha": [0.0, 0.1, 1.0]}, **options)
    n_epochs = counter.count()
    assert n_epochs == N_EPOCHS * len(list((tmp_path / "files").iterdir()))
    again = searched(model, {"alpha": [0.0, 0.1, 1.0]}, **options)
    assert counter.count() == 0
    assert scores_of(again) == scores_of(first)
