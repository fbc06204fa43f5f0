"""Makes model_v1.h5 and prints what it predicts. Run once, by the version that format 1 began with.

Later versions read the file; they do not make it again.
"""

from pathlib import Path

import numpy as np

from skdnn import DeepBinaryClassifier
from skdnn.persistence import save_model

ROWS = np.array([[0.5, -1.0, 2.0], [-1.5, 0.25, 0.0], [0.0, 0.0, 0.0], [3.0, 1.0, -2.0]])
LABELS = np.array(["benign", "malign", "benign", "malign"])

if __name__ == "__main__":
    import pandas

    model = DeepBinaryClassifier(
        (3, 2),
        activation="tanh",
        learning_rate_init=0.1,
        max_iter=4,
        tol=None,
        warm_start=True,
        random_state=0,
        n_iter_no_change=np.inf,
        class_weight={"benign": 1.0, "malign": 2.0},
    )
    model.fit(pandas.DataFrame(ROWS, columns=["texture", "radius", "área"]), LABELS)
    save_model(model, Path(__file__).with_name("model_v1.h5"))
    print([value.hex() for value in model.decision_function(ROWS)])
