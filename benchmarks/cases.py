"""The cases: data, training, and who takes part.

A case is prepared just before it is measured, and its data let go after: no two are in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.contenders import (
    Training,
    fit_mlp,
    fit_ours,
    fit_reference,
    fit_textbook,
    fit_torch,
    has_torch,
    make_mlp,
    make_ours,
    on_reference,
    silent,
)
from benchmarks.limits import forward_products, training_products
from benchmarks.timing import Contender
from skdnn.datasets import load_catvnoncat

__all__ = ["Case", "Options", "Prepared", "dense_data", "make_cases"]

Data = tuple[Any, np.ndarray]

# Steps after which theirs have reached their peak memory; L-BFGS keeps ten pairs of vectors.
_EPOCHS_FOR_MEMORY = 15


@dataclass(frozen=True)
class Options:
    """What the command line says about all cases.

    Parameters
    ----------
    quick : bool
        Whether to shrink the cases, to see that they run.
    torch : bool
        Whether torch takes part where it can.
    full : bool
        Whether slow contenders run all steps instead of some of them.
    """

    quick: bool = False
    torch: bool = True
    full: bool = False


@dataclass
class Prepared:
    """A case that can be measured.

    Parameters
    ----------
    contenders : dict of str to Contender
        "ours", "mlp", and where they take part "numpy" (ours on the NumPy reference), "torch",
        "textbook", "gemm", in turn.
    memory : dict of str to callable
        What to trace, of "ours" and "mlp"; empty where the work is done in other processes.
    x_bytes : int
        Size of X.
    notes : list of str
        What a reader of the row must know.
    """

    contenders: dict[str, Contender]
    memory: dict[str, Callable[[], object]]
    x_bytes: int
    notes: list[str] = field(default_factory=list)


class Case(Protocol):
    """A row of the table."""

    name: str
    title: str
    dtype: str
    group: str

    def prepare(self, options: Options) -> Prepared:
        """Make the data and the contenders."""


# ---------------------------------------------------------------------- data


def _labels(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return noisy labels, so that the loss stays away from 0 however long training lasts."""
    return (scores + 0.5 * scores.std() * rng.standard_normal(len(scores)) > 0).astype(int)


def dense_data(n_samples: int, n_features: int, dtype: str) -> Data:
    """Return Gaussian rows, and labels that depend on a few features."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, n_features), dtype=np.dtype(dtype).type)
    return X, _labels(X[:, :5].sum(axis=1) + X[:, 0] * X[:, 1], rng)


def sparse_data(n_samples: int, n_features: int, density: float, dtype: str) -> Data:
    """Return rows like TF-IDF, few positive numbers in each, of Euclidean norm 1."""
    rng = np.random.default_rng(0)
    n_terms = round(n_features * density)
    indices = rng.integers(0, n_features, (n_samples, n_terms))
    values = rng.random((n_samples, n_terms), dtype=np.dtype(dtype).type) + 0.1
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    indptr = np.arange(0, n_samples * n_terms + 1, n_terms)
    shape = (n_samples, n_features)
    X = scipy.sparse.csr_matrix((values.ravel(), indices.ravel(), indptr), shape=shape)
    X.sum_duplicates()
    return X, _labels(X @ rng.standard_normal(n_features).astype(dtype), rng)


def _images() -> tuple[Data, list[str]]:
    """Return the cat images, or random ones of the same shape with a note that says so."""
    folder = os.environ.get("SKDNN_DATA")
    if folder is not None:
        data = load_catvnoncat(Path(folder) / "catvnoncat")
        return (data.X_train, data.y_train), []
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (209, 64 * 64 * 3)) / 255
    y = rng.integers(0, 2, 209)
    return (X, y), ["random images: SKDNN_DATA is not set"]


# ---------------------------------------------------------------------- training


@dataclass(frozen=True)
class ImageCase:
    """Training on the cat images, all rows in every step."""

    name: str
    title: str
    training: Training
    # of MLPClassifier, torch and the textbook, whose time is proportional to the steps
    timed_steps: int | None = None
    others: tuple[str, ...] = ()
    dtype: str = "f64"
    group: str = "images"

    def prepare(self, options: Options) -> Prepared:
        (X, y), notes = _images()
        training = self.training.lasting(30) if options.quick else self.training
        theirs, scale = training, 1.0
        if self.timed_steps and not (options.quick or options.full):
            theirs = training.lasting(self.timed_steps)
            scale = training.epochs / self.timed_steps
            notes.append(
                f"all but ours: {self.timed_steps} steps timed, times {scale:g} "
                "(every step costs them the same)"
            )
        elif training.solver == "lbfgs":
            scale, early = _missing_iterations(training, X, y)
            notes += early
        contenders = {
            "ours": _training_contender(fit_ours, training, X, y),
            "numpy": _training_contender(fit_reference, training, X, y),
        }
        for name in _taking_part(("mlp", *self.others), options):
            contenders[name] = _training_contender(_FIT[name], theirs, X, y, scale)
        # what we multiply has as many columns as the row space, not as X
        rank = len(X) + (training.hidden[0] if training.alpha > 0 else 0)
        contenders["gemm"] = _gemm_contender(X[:, :rank].copy(), training)
        return Prepared(contenders, _training_memory(training, X, y), X.nbytes, notes)


def _missing_iterations(
    training: Training, X: np.ndarray, y: np.ndarray
) -> tuple[float, list[str]]:
    """Return the factor to all iterations where MLPClassifier's L-BFGS stops early, and a note."""
    n_iter = fit_mlp(training, X, y).n_iter_
    if n_iter == training.epochs:
        return 1.0, []
    scale = training.epochs / n_iter
    return scale, [f"MLPClassifier stopped after {n_iter} iterations: its time times {scale:.3g}"]


@dataclass(frozen=True)
class BatchCase:
    """Training on batches of made-up data."""

    name: str
    title: str
    dtype: str
    group: str
    training: Training
    data: Callable[[int, str], Data]  # of a number of samples and a dtype
    n_samples: int
    others: tuple[str, ...] = ()

    def prepare(self, options: Options) -> Prepared:
        n_samples = self.n_samples // 20 if options.quick else self.n_samples
        training = self.training.lasting(1) if options.quick else self.training
        X, y = self.data(n_samples, self.dtype.replace("f", "float"))
        contenders = {
            name: _training_contender(_FIT[name], training, X, y)
            for name in _taking_part(("ours", "numpy", "mlp", *self.others), options)
        }
        contenders["gemm"] = _gemm_contender(X, training)
        return Prepared(contenders, _training_memory(training, X, y), _n_bytes(X))


_FIT: Mapping[str, Callable[[Training, Any, np.ndarray], object]] = {
    "ours": fit_ours,
    "numpy": fit_reference,
    "mlp": fit_mlp,
    "torch": fit_torch,
    "textbook": fit_textbook,
}


def _taking_part(names: tuple[str, ...], options: Options) -> list[str]:
    with_torch = options.torch and has_torch()
    return [name for name in names if name != "torch" or with_torch]


def _training_contender(
    fit: Callable[[Training, Any, np.ndarray], object],
    training: Training,
    X: Any,
    y: np.ndarray,
    scale: float = 1.0,
) -> Contender:
    return Contender(
        run=partial(fit, training, X, y),
        warm_up=partial(fit, training.lasting(1), X, y),
        scale=scale,
    )


def _gemm_contender(X: Any, training: Training) -> Contender:
    batches = training.batches(X.shape[0])
    run = training_products(X, training.hidden, batches, training.epochs)
    return Contender(run, training_products(X, training.hidden, batches[:1], 1))


def _training_memory(training: Training, X: Any, y: np.ndarray) -> dict[str, Callable[[], object]]:
    # ours in full: the number of epochs decides on the row space
    short = training.lasting(min(training.epochs, _EPOCHS_FOR_MEMORY))
    return {"ours": partial(fit_ours, training, X, y), "mlp": partial(fit_mlp, short, X, y)}


def _n_bytes(X: Any) -> int:
    if scipy.sparse.issparse(X):
        return X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    return X.nbytes


# ---------------------------------------------------------------------- prediction


@dataclass(frozen=True)
class PredictionCase:
    """predict_proba of fitted networks."""

    name: str
    title: str
    n_samples: int
    loops: int
    hidden: tuple[int, ...] = (100,)
    n_features: int = 50
    dtype: str = "f32"
    group: str = "predict"

    def prepare(self, options: Options) -> Prepared:
        n_samples = max(1, self.n_samples // 20) if options.quick else self.n_samples
        loops = max(1, self.loops // 20) if options.quick else self.loops
        X, y = dense_data(1000, self.n_features, "float32")
        training = Training(self.hidden, "adam", epochs=1, batch_size=200)
        fitted = {"ours": fit_ours(training, X, y), "mlp": fit_mlp(training, X, y)}
        rows, _ = dense_data(n_samples, self.n_features, "float32")
        work = {name: partial(model.predict_proba, rows) for name, model in fitted.items()}
        sizes = (self.n_features, *self.hidden, 1)
        products = forward_products(n_samples, sizes, "float32")

        def gemm() -> None:
            for product in products:
                product()

        def reference() -> None:
            with on_reference():
                work["ours"]()

        runs = {**work, "numpy": reference, "gemm": gemm}
        contenders = {name: Contender(run, run, loops) for name, run in runs.items()}
        return Prepared(contenders, work, rows.nbytes)


# ---------------------------------------------------------------------- search


@dataclass(frozen=True)
class SearchCase:
    """GridSearchCV of a pipeline on breast cancer, in worker processes."""

    name: str
    title: str
    epochs: int = 100
    n_folds: int = 5
    n_jobs: int = 2
    hidden: tuple[tuple[int, ...], ...] = ((16,), (32,), (32, 16))
    alphas: tuple[float, ...] = (1e-4, 1e-2)
    rates: tuple[float, ...] = (1e-3, 1e-2)
    dtype: str = "f64"
    group: str = "search"

    def prepare(self, options: Options) -> Prepared:
        X, y = load_breast_cancer(return_X_y=True)
        epochs = 2 if options.quick else self.epochs
        training = Training(self.hidden[0], "adam", epochs, batch_size=200)
        n_training = len(X) - len(X) // self.n_folds
        models = {"ours": make_ours(training), "mlp": make_mlp(training, n_training)}
        contenders = {
            # a first search starts the worker processes, which the later ones find
            name: Contender(partial(self._search, model, X, y), partial(self._search, model, X, y))
            for name, model in models.items()
        }
        contenders["gemm"] = self._products(X[:n_training], training)
        return Prepared(contenders, {}, X.nbytes, ["memory is in the worker processes"])

    def _search(self, model: Any, X: np.ndarray, y: np.ndarray) -> None:
        pipeline = make_pipeline(StandardScaler(), model)
        prefix = type(model).__name__.lower()
        grid = {
            f"{prefix}__hidden_layer_sizes": self.hidden,
            f"{prefix}__alpha": self.alphas,
            f"{prefix}__learning_rate_init": self.rates,
        }
        search = GridSearchCV(pipeline, grid, cv=self.n_folds, n_jobs=self.n_jobs, refit=False)
        # scikit-learn hands the filter on to its workers
        with silent():
            search.fit(X, y)

    def _products(self, X: np.ndarray, training: Training) -> Contender:
        """Return the products of one fit of each network; the workers have one BLAS thread."""
        batches = training.batches(len(X))
        runs = [training_products(X, hidden, batches, training.epochs) for hidden in self.hidden]

        def run() -> None:
            with threadpool_limits(1, user_api="blas"):
                for products in runs:
                    products()

        n_fits_each = len(self.alphas) * len(self.rates) * self.n_folds
        return Contender(run, run, scale=n_fits_each / self.n_jobs)


# ---------------------------------------------------------------------- all of them


def _adam_cases(
    n_samples: int, n_features: int, hidden: tuple[int, ...], batch_size: int, epochs: int
) -> list[BatchCase]:
    """Return a case for each dtype."""
    layers = ", ".join(map(str, hidden)) + ("," if len(hidden) == 1 else "")
    title = f"Adam {n_samples} x {n_features}, ({layers}), batch {batch_size}, {epochs} epochs"

    def data(n: int, dtype: str) -> Data:
        return dense_data(n, n_features, dtype)

    return [
        BatchCase(
            name=f"adam-{'-'.join(map(str, hidden))}-{dtype}",
            title=title,
            dtype=dtype,
            group="adam",
            training=Training(hidden, "adam", epochs, batch_size),
            data=data,
            n_samples=n_samples,
            others=("torch",),
        )
        for dtype in ("f32", "f64")
    ]


def make_cases() -> list[Case]:
    """Return all cases, in the order of the table."""
    return [
        ImageCase(
            name="recipe",
            title="cat recipe, gd, 209 x 12288, (20, 7, 5), 3000 steps",
            training=Training((20, 7, 5), "gd", 3000, learning_rate=0.0075, alpha=0.0),
            timed_steps=300,
            others=("torch", "textbook"),
        ),
        ImageCase(
            name="lbfgs",
            title="L-BFGS, same data, 200 iterations",
            training=Training((20, 7, 5), "lbfgs", 200),
        ),
        *_adam_cases(100_000, 50, (100,), 200, epochs=3),
        *_adam_cases(50_000, 100, (256, 256), 256, epochs=2),
        *_adam_cases(20_000, 30, (32, 16), 32, epochs=8),
        *_adam_cases(20_000, 500, (512, 256, 128), 512, epochs=2),
        PredictionCase("predict-1", "predict_proba, 1 row of 50, (100,)", 1, loops=1000),
        PredictionCase(
            "predict-100000", "predict_proba, 100000 rows of 50, (100,)", 100_000, loops=10
        ),
        SearchCase(
            "search", "GridSearchCV, 12 candidates x 5 folds, breast cancer, n_jobs=2, 100 epochs"
        ),
        BatchCase(
            name="sparse",
            title="CSR 20000 x 50000, density 0.002, (64,), Adam, batch 200, 2 epochs",
            dtype="f32",
            group="sparse",
            training=Training((64,), "adam", 2, 200),
            data=lambda n, dtype: sparse_data(n, 50_000, 0.002, dtype),
            n_samples=20_000,
        ),
    ]
