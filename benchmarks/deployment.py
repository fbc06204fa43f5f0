"""What a model costs to keep and to ask in each of its forms: bytes, loading, one row.

``python -m benchmarks.deployment`` writes ``results/deployment.md``. Every form is loaded in a
process that has its imports done, and predicts the same row; medians.
"""

import statistics
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import skops.io
from threadpoolctl import threadpool_limits

import skdnn.onnx
from skdnn import DeepBinaryClassifier, load_model, save_model

RESULT = Path(__file__).parent / "results" / "deployment.md"


def _median_seconds(call, n_times):
    call()
    seconds = []
    for _ in range(n_times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _forms(model, folder):
    """Yield name, path, a function that loads, and one that makes a prediction of what it loads."""

    def of_estimator(estimator):
        return lambda row: estimator.predict_proba(row)

    def of_session(session):
        return lambda row: session.run(["probabilities"], {"X": row})[0]

    def load_session(path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def load_skops(path):
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

    for name, write, load, ask in (
        ("ONNX, onnxruntime", skdnn.onnx.save, load_session, of_session),
        ("model file", save_model, load_model, of_estimator),
        ("skops", skops.io.dump, load_skops, of_estimator),
        ("joblib", joblib.dump, joblib.load, of_estimator),
    ):
        path = folder / name.split()[0].strip(",")
        write(model, path)
        yield name, path, load, ask


def main():
    """Measure, print and write the table."""
    X = np.random.default_rng(0).normal(size=(2000, 50)).astype(np.float32)
    model = DeepBinaryClassifier((100, 50), max_iter=3, tol=None, random_state=0)
    model.fit(X, X[:, 0] * X[:, 1] > 0)
    expected = model.predict_proba(X[:1])
    lines = [
        "| form | kB | load, ms | one row, µs | 1,000 rows, ms |",
        "|---|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        for name, path, load, ask in _forms(model, Path(folder)):
            predict = ask(load(path))
            np.testing.assert_allclose(predict(X[:1]), expected, atol=1e-5)
            row = X[:1].copy()
            cells = (
                path.stat().st_size / 1e3,
                1e3 * _median_seconds(lambda: load(path), 30),  # noqa: B023
                1e6 * _median_seconds(lambda: predict(row), 2000),  # noqa: B023
                1e3 * _median_seconds(lambda: predict(X[:1000]), 100),  # noqa: B023
            )
            lines.append(f"| {name} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |")
    lines.append("")
    n_numbers = f"{model.n_parameters_:,}"
    lines.append(
        f"A network of 50 features, hidden layers (100, 50), float32: {n_numbers} numbers."
    )
    print("\n".join(lines))
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
