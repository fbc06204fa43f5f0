"""
===================================
A classifier of images, in full
===================================

From beginning to end: read two HDF5 files, train a deep network by plain gradient descent, tune one
with scikit-learn's own search, save the best, load it in a new Python process, and look at the
images that it gets wrong.

The published *recipe* is an exercise of a course on deep learning: tell images of cats from others,
209 to learn from and 50 to test, by hidden layers of 20, 7 and 5 ReLU units, He's initialisation
and 3000 steps over all images. Its images cannot be part of this project. So this script runs the
recipe on as many tiles of the two photographs that come with scikit-learn, a flower and a temple;
``--data FOLDER`` takes ``train_catvnoncat.h5`` and ``test_catvnoncat.h5`` from a folder.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skdnn import DeepBinaryClassifier, kernels
from skdnn.datasets import load_catvnoncat, make_photo_patches
from skdnn.displays import LossCurveDisplay, MistakesDisplay

try:
    import matplotlib.pyplot as plt
except ImportError as error:
    raise ImportError(
        "This example draws with matplotlib, which is not installed: pip install matplotlib"
    ) from error

parser = argparse.ArgumentParser(description="Train, tune, save and inspect.")
parser.add_argument(
    "--data", type=Path, help="folder of the course's files (default: tiles of photographs)"
)
parser.add_argument(
    "--output", type=Path, default=Path("demo_output"), help="folder for what is written"
)
# whoever runs the script may have arguments of their own: a gallery builder, for one
options, unknown = parser.parse_known_args()
if unknown:
    print(f"Ignored unknown arguments: {' '.join(unknown)}")
output = options.output
output.mkdir(parents=True, exist_ok=True)

# %%
# Data
# ----
# Images are flattened, a row each, and pixels divided by 255.

print(f"kernels: {kernels.describe()}")
data = load_catvnoncat(options.data or make_photo_patches(output / "photo_patches"))
print(data.DESCR)


def print_scores(model):
    for part in ("train", "test"):
        X, y = data[f"X_{part}"], data[f"y_{part}"]
        n_correct = int(np.sum(model.predict(X) == y))
        auc = roc_auc_score(y, model.predict_proba(X)[:, 1])
        print(
            f"{part:>5}: {n_correct} of {len(y)} correct (accuracy {n_correct / len(y):.3f}), "
            f"ROC AUC {auc:.3f}"
        )


# %%
# A baseline
# ----------
# What do the colours alone tell? Logistic regression on the mean of red, green and blue, three
# numbers an image, which need no penalty. Of a flower and a temple they tell most, and a network
# that is to find them among 12288 numbers of 209 images must be tuned to get there.


def mean_colours(X):
    return X.reshape(len(X), *data.image_shape).mean(axis=(1, 2))


baseline = make_pipeline(
    FunctionTransformer(mean_colours),
    StandardScaler(),
    LogisticRegression(C=np.inf),
).fit(data.X_train, data.y_train)
print("Logistic regression on mean colours")
print_scores(baseline)

# %%
# The recipe: gradient descent over all images
# --------------------------------------------

print("The recipe")
recipe = DeepBinaryClassifier(
    (20, 7, 5),
    solver="gd",
    learning_rate_init=0.0075,
    max_iter=3000,
    tol=None,
    alpha=0,
    random_state=3,
    verbose=100,
)
start = time.perf_counter()
recipe.fit(data.X_train, data.y_train)
print(f"{recipe.n_iter_} iterations in {time.perf_counter() - start:.1f} s")
print_scores(recipe)

# %%
# The cost of each iteration, with the learning rate in the title:

display = LossCurveDisplay.from_estimator(recipe)
display.ax_.set(
    xlabel="iteration", ylabel="cost", title=f"Learning rate = {recipe.learning_rate_init}"
)
display.figure_.savefig(output / "cost_curve.png", dpi=100)
plt.show()

# %%
# Tuning with GridSearchCV
# ------------------------
# Layers, initialisation and learning rate of Adam, in a pipeline that scales the pixels.

print("Tuning")
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("net", DeepBinaryClassifier(batch_size=32, max_iter=10, tol=None, random_state=0)),
    ]
)
grid = {
    "net__hidden_layer_sizes": [(20, 7, 5), (64, 16)],
    "net__init": ["he", "xavier"],
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
best = search.best_estimator_
print_scores(best)

# %%
# Saving and loading
# ------------------
# A new process loads the pipeline and predicts; both predictions are compared.

PREDICT = """
import sys
import joblib, numpy as np
model_path, images_path, output_path = sys.argv[1:]
np.save(output_path, joblib.load(model_path).predict_proba(np.load(images_path)))
"""
print("Saving and loading")
model_path = output / "best_model.joblib"
images_path, probabilities_path = output / "test_images.npy", output / "probabilities.npy"
joblib.dump(best, model_path)
np.save(images_path, data.X_test)
subprocess.run(
    [sys.executable, "-c", PREDICT, model_path, images_path, probabilities_path], check=True
)
loaded = np.load(probabilities_path)  # (n_test, 2)
difference = np.max(np.abs(loaded - best.predict_proba(data.X_test)))
# a matrix product may round differently where arrays lie differently in memory
if not difference <= 1e-12:
    raise RuntimeError(f"The model loaded from {model_path} is off by {difference}.")
print(f"saved as {model_path} ({model_path.stat().st_size / 1e6:.1f} MB)")
equal = "bit for bit" if difference == 0 else f"to {difference:.0e}"
print(f"a new process predicts {len(loaded)} probabilities, equal to this one's {equal}")

# %%
# Mistakes
# --------
# The test images that the tuned network gets wrong, the most confident errors first.

names = np.array(data.target_names)
display = MistakesDisplay.from_predictions(
    names[data.y_test],
    best.predict_proba(data.X_test)[:, 1],
    data.X_test,
    pos_label=names[1],
    image_shape=data.image_shape,
)
display.figure_.savefig(output / "mistakes.png", dpi=100)
plt.show()

# %%
# All in one picture
# ------------------

models = {"mean colours, linear": baseline, "recipe": recipe, "tuned network": best}
n_correct = [int(np.sum(model.predict(data.X_test) == data.y_test)) for model in models.values()]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(recipe.loss_curve_)
left.set(xlabel="iteration", ylabel="cost", title="Training of the recipe")
bars = right.barh(list(models), n_correct, color=["0.7", "C0", "C2"])
right.bar_label(bars, [f"{n} of {len(data.y_test)}" for n in n_correct], padding=3)
guessed = len(data.y_test) / 2
right.axvline(guessed, color="k", ls=":")
# above the bars, inside the axes
right.annotate("guessing", (guessed, -0.5), xytext=(4, 4), textcoords="offset points")
right.set_ylim(-0.9, len(models) - 0.5)
right.set(xlim=(0, 1.2 * len(data.y_test)), xlabel="test images that are right")
right.set_title("What it is worth")
right.invert_yaxis()
figure.savefig(output / "demo.png", dpi=150)
plt.show()
print(
    "pictures: "
    + ", ".join(str(output / f"{name}.png") for name in ("demo", "cost_curve", "mistakes"))
)
