"""Makes checkpoint_v1.ckpt and prints how it ends. Run once, by the version format 1 began with.

Later versions read the file; they do not make it again.
"""

from pathlib import Path

import numpy as np

from skdnn import Checkpoint, DeepBinaryClassifier, load_checkpoint

ROWS = np.array([[0.5, -1.0, 2.0], [-1.5, 0.25, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
LABELS = np.array(["benign", "malign", "benign", "malign"])
HELD_OUT = -ROWS, LABELS[::-1]


class Stop:
    """Stops training after the second epoch."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id == 1


if __name__ == "__main__":
    path = Path(__file__).with_name("checkpoint_v1.ckpt")
    model = DeepBinaryClassifier(
        (3, 2),
        activation="tanh",
        solver="sgd",
        row_space=True,
        batch_size=2,
        learning_rate="one_cycle",
        learning_rate_init=0.1,
        max_iter=5,
        tol=None,
        early_stopping=True,
        random_state=0,
        class_weight={"benign": 1.0, "malign": 2.0},
    )
    model.set_callbacks(Checkpoint(path), Stop())
    model.fit(ROWS, LABELS, X_val=HELD_OUT[0], y_val=HELD_OUT[1])
    content = path.read_bytes()
    model = load_checkpoint(path).fit(ROWS, LABELS, X_val=HELD_OUT[0], y_val=HELD_OUT[1])
    path.write_bytes(content)
    print([value.hex() for value in model.decision_function(ROWS)])
    print(model.loss_curve_, model.best_iter_)
