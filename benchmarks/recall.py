"""What a rare class is recalled with: python -m benchmarks.recall.

``class_weight="balanced"``, Adam with its defaults against L-BFGS on the same objective, and
against MLPClassifier with the same weights and penalty. The rare class lies 0.9 standard deviations
off in 3 of 10 features. Without hidden layers the objective has one minimum; with 100 units a
penalty leaves it few, so that both solvers should recall the same rows of 400,000 new ones.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import recall_score
from sklearn.neural_network import MLPClassifier
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from skdnn import DeepBinaryClassifier

RESULTS = Path(__file__).parent / "results" / "recall.md"
N_TRAIN, N_TEST = 40_000, 400_000
SHARES = (0.05, 0.01, 0.003, 0.001)
NETWORKS: dict[str, dict[str, Any]] = {
    "no hidden layer": {"hidden_layer_sizes": ()},
    "100 units, alpha=1000": {"hidden_layer_sizes": (100,), "alpha": 1000.0},
}
HEAD = "| network | rare class | rows of it | L-BFGS | Adam | MLPClassifier, Adam |"


def rows(share: float, n_rows: int, generator: np.random.RandomState) -> tuple[Any, Any]:
    """Return X and y with a share of positive rows."""
    y = generator.uniform(size=n_rows) < share
    X = generator.standard_normal((n_rows, 10))
    X[:, :3] += 0.9 * y[:, np.newaxis]
    return X, y


def measure(share: float, network: dict[str, Any]) -> str:
    """Return the last columns of a line of the table."""
    generator = np.random.RandomState(0)
    X, y = rows(share, N_TRAIN, generator)
    X_test, y_test = rows(share, N_TEST, generator)
    ours = DeepBinaryClassifier(class_weight="balanced", random_state=0, **network)
    models = [
        clone(ours).set_params(solver="lbfgs", max_iter=500).fit(X, y),
        ours.fit(X, y),
    ]
    weight = compute_sample_weight("balanced", y)
    # which divides the penalty by a batch's rows
    theirs = network | {"alpha": network.get("alpha", 1e-4) * 200 / N_TRAIN}
    models.append(MLPClassifier(random_state=0, **theirs).fit(X, y, sample_weight=weight))
    recalls = [recall_score(y_test, model.predict(X_test)) for model in models]
    return f"{share:.1%} | {y.sum()} | " + " | ".join(f"{recall:.3f}" for recall in recalls)


def main() -> None:
    warnings.simplefilter("ignore")  # about iterations
    lines = ["# Recall of a rare class", "", *(__doc__ or "").splitlines()[2:], "", HEAD]
    lines.append("|---|" + "---:|" * 5)
    with threadpool_limits(1, "blas"):
        for name, network in NETWORKS.items():
            for share in SHARES:
                lines.append(f"| {name} | {measure(share, network)} |")
                print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
