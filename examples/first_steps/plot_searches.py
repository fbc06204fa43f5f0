"""
=============================================
Searching parameters, and watching the search
=============================================

Every parameter of the network can be searched by scikit-learn's own tools. This example tunes a
small network on handwritten digits with ``GridSearchCV``, then with ``HalvingGridSearchCV``, which
gives most candidates only a few epochs. Progress bars come from scikit-learn's callback
``ProgressBar`` (it needs ``rich``, which the extra ``progress`` brings).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The task: is it an eight?

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.data, digits.target == 8, stratify=digits.target, random_state=0
)
pipeline = make_pipeline(StandardScaler(), DeepBinaryClassifier(tol=None, random_state=0))
step = "deepbinaryclassifier__"
grid = {
    step + "hidden_layer_sizes": [(32,), (32, 16), (64, 32, 16)],
    step + "learning_rate_init": [0.0003, 0.001, 0.003, 0.01],
    step + "dropout": [0, 0.2],
}
n_epochs = 45

# %%
# The whole grid
# --------------
# With a depth of 0 the bars are those of the search. A depth of 1, the default, adds the steps of
# each pipeline, and ``None`` the epochs of each network: pleasant for one long fit.

pipeline.set_params(**{step + "max_iter": n_epochs})
full = GridSearchCV(pipeline, grid, cv=3, scoring="average_precision")
full.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X_train, y_train)
n_candidates = len(full.cv_results_["params"])
epochs_of_grid = n_candidates * 3 * n_epochs


def report(name, search, epochs):
    best = {key.removeprefix(step): value for key, value in search.best_params_.items()}
    print(f"{name}: {epochs} epochs of training, the best")
    for key, value in best.items():
        print(f"  {key} = {value}")
    print(f"  average precision {search.best_score_:.3f}, on test rows ", end="")
    print(f"{search.score(X_test, y_test):.3f}")


report("grid search", full, epochs_of_grid)

# %%
# Halving
# -------
# The resource is ``max_iter``: all candidates get few epochs, the best third of them three times
# as many, and so on.

halving = HalvingGridSearchCV(
    pipeline,
    grid,
    cv=3,
    scoring="average_precision",
    resource=step + "max_iter",
    min_resources=5,
    max_resources=n_epochs,
    factor=3,
    random_state=0,
)
halving.set_callbacks(ProgressBar(max_propagation_depth=0)).fit(X_train, y_train)
epochs_of_halving = 3 * int(np.dot(halving.n_candidates_, halving.n_resources_))
report("halving", halving, epochs_of_halving)
print(f"halving trains {epochs_of_halving / epochs_of_grid:.0%} of the epochs")

# %%
# Who went on
# -----------
# A line is a candidate; it ends where halving dropped it. Halving is a bet that the early leaders
# stay ahead, and slow starters, here those with low learning rates, lose it.

results = halving.cv_results_
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
lines = {}  # candidate: points
for params, n_resources, score in zip(
    results["params"], results["n_resources"], results["mean_test_score"], strict=True
):
    candidate = tuple(str(params[key]) for key in grid)
    lines.setdefault(candidate, []).append((n_resources, score))
rates = grid[step + "learning_rate_init"]
for (_, rate, _), points in lines.items():
    color = f"C{[str(value) for value in rates].index(rate)}"
    axes.plot(*np.transpose(points), "o-", color=color, alpha=0.7)
for index, rate in enumerate(rates):
    axes.plot([], [], "o-", color=f"C{index}", label=f"learning rate {rate}")
axes.set_xscale("log")
axes.set_xticks(halving.n_resources_, halving.n_resources_)
axes.minorticks_off()
axes.set(
    xlabel="epochs (max_iter)",
    ylabel="average precision in cross-validation",
    title="Candidates of HalvingGridSearchCV",
)
axes.grid(alpha=0.3)
axes.legend(loc="lower right")
plt.show()
