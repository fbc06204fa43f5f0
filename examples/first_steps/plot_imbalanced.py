"""
==============================================
Rare classes: weights, thresholds, calibration
==============================================

When one row in twenty is positive, a network that minimises the log loss rarely says "positive".
Three tools help, and they do different things: ``class_weight`` changes what is learned,
``TunedThresholdClassifierCV`` changes the decision, and ``CalibratedClassifierCV`` mends the
probabilities.
"""

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, precision_score, recall_score
from sklearn.model_selection import TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")

X, y = make_classification(
    n_samples=12000,
    n_features=12,
    n_informative=6,
    weights=[0.95],
    class_sep=0.7,
    flip_y=0.01,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
print(f"{y_train.sum()} of {len(y_train)} training rows are positive")

# %%
# Four classifiers
# ----------------
# The same network each time: as it is; with balanced class weights; as it is, with the threshold
# that is best for the balanced accuracy in cross-validation; and with balanced weights, its
# probabilities calibrated in cross-validation.


def network(class_weight=None):
    return make_pipeline(
        StandardScaler(),
        DeepBinaryClassifier(
            (32, 16),
            class_weight=class_weight,
            learning_rate_init=0.003,
            alpha=1.0,
            max_iter=20,
            tol=None,
            random_state=0,
        ),
    )


models = {
    "plain": network(),
    "class_weight": network("balanced"),
    "tuned threshold": TunedThresholdClassifierCV(network(), scoring="balanced_accuracy", cv=3),
    "weights, calibrated": CalibratedClassifierCV(network("balanced"), method="isotonic", cv=3),
}
scores = {}
print(f"{'':19} | recall | precision | balanced accuracy | Brier score")
for name, model in models.items():
    predicted = model.fit(X_train, y_train).predict(X_test)
    probability = model.predict_proba(X_test)[:, 1]
    scores[name] = (
        recall_score(y_test, predicted),
        precision_score(y_test, predicted),
        balanced_accuracy_score(y_test, predicted),
        brier_score_loss(y_test, probability),
    )
    recall, precision, balanced, brier = scores[name]
    print(f"{name:19} | {recall:6.2f} | {precision:9.2f} | {balanced:17.3f} | {brier:11.4f}")
print(f"tuned threshold: {models['tuned threshold'].best_threshold_:.3f}")


# %%
# Balanced weights and a tuned threshold both find far more of the positive rows, and both pay in
# precision. But the weighted network's probabilities are those of a world where the classes are
# equally frequent: its Brier score is the worst. The tuned threshold leaves the probabilities
# alone. Calibration mends them, and with honest probabilities and a threshold of 1/2 the
# classifier is as careful as the plain one: set the threshold by what a mistake costs.
#
# Reliability
# -----------
# Among the rows that are given a probability of about 0.3, three in ten should be positive.

figure, axes = plt.subplots(figsize=(6.4, 5), layout="constrained")
for name, marker in (("plain", "o"), ("class_weight", "s"), ("weights, calibrated", "^")):
    CalibrationDisplay.from_estimator(
        models[name], X_test, y_test, n_bins=8, name=name, ax=axes, marker=marker
    )
axes.set(
    xlabel="mean predicted probability of the rare class",
    ylabel="share of rows that are of it",
    title="Reliability on test rows",
)
axes.grid(alpha=0.3)
axes.legend(loc="upper left")
plt.show()
