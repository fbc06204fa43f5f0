"""
=======================================
Telling cats from other things, in full
=======================================

A classifier of small images from beginning to end: read two HDF5 files, train a deep network by
plain gradient descent, tune one with scikit-learn's own search, save the best, load it in a new
Python process, and look at the images that the network gets wrong.

The recipe is a network with hidden layers of 20, 7 and 5 ReLU units, He's initialisation, and 3000
steps over all images. Without ``--data`` it runs on tiles of the two photographs that come with
scikit-learn (a flower or a building?); with ``--data FOLDER`` on ``train_catvnoncat.h5`` and
``test_catvnoncat.h5`` of that folder.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skdnn import DeepBinaryClassifier
from skdnn.datasets import load_catvnoncat, make_photo_patches

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise ImportError(
        "This example draws with matplotlib, which is not installed: pip install skdnn[plot]"
    ) from error

# What the new process runs: it knows the model's file, the data and where to write.
PREDICT = """
import sys
import joblib, numpy as np
from skdnn.datasets import load_catvnoncat
model_path, data_folder, output_path = sys.argv[1:]
model = joblib.load(model_path)
np.save(output_path, model.predict_proba(load_catvnoncat(data_folder).X_test))
"""

MOST_IMAGES_SHOWN = 12


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train, tune, save and inspect.")
    parser.add_argument(
        "--data", type=Path, help="folder of the cat files (default: make photo patches)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder for what is written"
    )
    parser.add_argument("--fast", action="store_true", help="fewer iterations and candidates")
    # whoever runs the script may have arguments of their own: a gallery builder, for one
    options, unknown = parser.parse_known_args()
    if unknown:
        print(f"Ignored unknown arguments: {' '.join(unknown)}")
    return options


def print_heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def print_scores(model: ClassifierMixin, data: Bunch) -> None:
    for part in ("train", "test"):
        X, y = data[f"X_{part}"], data[f"y_{part}"]
        n_correct = int(np.sum(model.predict(X) == y))
        auc = roc_auc_score(y, model.predict_proba(X)[:, 1])
        print(
            f"{part:>5}: {n_correct} of {len(y)} correct (accuracy {n_correct / len(y):.3f}), "
            f"ROC AUC {auc:.3f}"
        )


def fit_recipe(data: Bunch, *, fast: bool) -> DeepBinaryClassifier:
    model = DeepBinaryClassifier(
        (20, 7, 5),
        solver="gd",
        learning_rate_init=0.0075,
        max_iter=300 if fast else 3000,
        tol=None,
        alpha=0,
        random_state=3,
        verbose=100,
    )
    start = time.perf_counter()
    model.fit(data.X_train, data.y_train)
    print(f"{model.n_iter_} iterations in {time.perf_counter() - start:.1f} s")
    return model


def tune(data: Bunch, *, fast: bool) -> Pipeline:
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("net", DeepBinaryClassifier(batch_size=32, max_iter=10, tol=None, random_state=0)),
        ]
    )
    grid = {
        "net__hidden_layer_sizes": [(20, 7, 5)] if fast else [(20, 7, 5), (64, 16)],
        "net__init": ["he"] if fast else ["he", "xavier"],
        "net__learning_rate_init": [0.0003, 0.001],
    }
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2)
    start = time.perf_counter()
    search.fit(data.X_train, data.y_train)
    n_candidates = len(search.cv_results_["params"])
    print(f"{n_candidates} candidates x 3 folds in {time.perf_counter() - start:.1f} s")
    for name, value in search.best_params_.items():
        print(f"  {name.removeprefix('net__')} = {value}")
    print(f"accuracy in cross-validation {search.best_score_:.3f}")
    return search.best_estimator_


def check_saved_model(model: Pipeline, data: Bunch, data_folder: Path, output: Path) -> None:
    """Save the model; compare what a new process predicts with what this one does."""
    model_path = output / "best_model.joblib"
    probabilities_path = output / "probabilities.npy"
    joblib.dump(model, model_path)
    command = [sys.executable, "-c", PREDICT, model_path, data_folder, probabilities_path]
    subprocess.run(command, check=True)
    loaded = np.load(probabilities_path)  # (n_test, 2)
    difference = np.max(np.abs(loaded - model.predict_proba(data.X_test)))
    # a matrix product may round differently where arrays lie differently in memory
    if not difference <= 1e-12:
        raise RuntimeError(f"The model loaded from {model_path} is off by {difference}.")
    print(f"saved as {model_path} ({model_path.stat().st_size / 1e6:.1f} MB)")
    equal = "bit for bit" if difference == 0 else f"to {difference:.0e}"
    print(f"a new process predicts {len(loaded)} probabilities, equal to this one's {equal}")


def plot_cost_curve(model: DeepBinaryClassifier, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(np.arange(1, model.n_iter_ + 1), model.loss_curve_)
    axes.set(
        xlabel="iteration",
        ylabel="cost",
        title=f"Learning rate = {model.learning_rate_init}",
        xlim=(0, model.n_iter_),
        ylim=(0, None),
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def plot_mistakes(model: DeepBinaryClassifier, data: Bunch, path: Path) -> None:
    """Show the test images that the model gets wrong; without any, the least certain ones."""
    probabilities = model.predict_proba(data.X_test)  # (n_test, 2)
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != data.y_test)
    if wrong.size:
        shown = wrong[np.argsort(-confidence[wrong])][:MOST_IMAGES_SHOWN]
        which = "most confident first"
        if shown.size < wrong.size:
            which = f"the {shown.size} most confident"
        title = f"{wrong.size} of {len(predicted)} test images predicted wrongly: {which}"
    else:
        shown = np.argsort(confidence)[:MOST_IMAGES_SHOWN]
        title = f"No mistake in {len(predicted)} test images: the {shown.size} least confident"
    n_columns = min(4, shown.size)
    n_rows = -(-shown.size // n_columns)
    # constrained layout keeps the three lines above an image clear of the row before
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(max(2.3 * n_columns, 6), 2.9 * n_rows + 0.5),
        layout="constrained",
        squeeze=False,
    )
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.08)
    figure.suptitle(title)
    for axes in grid.flat:
        axes.set_axis_off()
    names = data.target_names
    for axes, index in zip(grid.flat, shown, strict=False):
        axes.imshow(data.X_test[index].reshape(data.image_shape))
        axes.set_title(
            f"true: {names[data.y_test[index]]}\n"
            f"predicted: {names[predicted[index]]}\n"
            f"with probability {confidence[index]:.3f}",
            fontsize=9,
        )
    figure.savefig(path, dpi=100)


def main() -> None:
    options = parse_options()
    output = options.output
    output.mkdir(parents=True, exist_ok=True)

    print_heading("Data")
    folder = options.data or make_photo_patches(output / "photo_patches")
    data = load_catvnoncat(folder)
    print(data.DESCR)

    print_heading("The recipe: gradient descent over all images")
    recipe = fit_recipe(data, fast=options.fast)
    print_scores(recipe, data)

    print_heading("Tuning with GridSearchCV")
    best = tune(data, fast=options.fast)
    print_scores(best, data)

    print_heading("Saving and loading")
    check_saved_model(best, data, folder, output)

    print_heading("Pictures")
    plot_cost_curve(recipe, output / "cost_curve.png")
    plot_mistakes(recipe, data, output / "mistakes.png")
    print(f"{output / 'cost_curve.png'}, {output / 'mistakes.png'}")


if __name__ == "__main__":
    main()
