"""
===========================
A table as it is, no tuning
===========================

Numbers, categories, text labels and gaps in one table: ``DeepEnsembleClassifier`` and
scikit-learn's boosted trees both take it as it is. What do they make of it, with their defaults?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibrationDisplay
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import RocCurveDisplay, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from skdnn import DeepEnsembleClassifier
from skdnn.displays import LossCurveDisplay

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The table
# ---------
# Loans of an imaginary bank, and which of them are not paid back. Debt matters against income, so
# the boundary is a line across two columns; being short of work matters by itself; some purposes
# are worse than others. Incomes are missing where people would not tell.

rng = np.random.default_rng(0)
n_loans = 4000
income = rng.lognormal(10.3, 0.5, n_loans)
debt = income * rng.beta(2, 5, n_loans) + rng.exponential(2000, n_loans)
months_employed = rng.exponential(60, n_loans).round()
purpose = rng.choice(["car", "home", "studies", "debts", "travel"], n_loans)
branch = rng.choice([f"branch {k}" for k in range(20)], n_loans)
log_odds = (
    -2.5
    + 5 * (debt / income - 0.3)
    + 1.2 * (months_employed < 12)
    + pd.Series(purpose).map({"debts": 1.0, "travel": 0.5, "home": -0.7}).fillna(0).to_numpy()
)
unpaid = rng.random(n_loans) < 1 / (1 + np.exp(-log_odds))
table = pd.DataFrame(
    {
        "income": np.where(rng.random(n_loans) < 0.15, np.nan, income),
        "debt": debt,
        "months employed": months_employed,
        "purpose": pd.Categorical(purpose),
        "branch": pd.Categorical(branch),
        "currency": pd.Categorical(["EUR"] * n_loans),
    }
)
print(table.head(4).round().to_string(index=False))
print(f"{unpaid.mean():.0%} of {n_loans} loans are not paid back")
X_train, X_test, y_train, y_test = train_test_split(table, unpaid, stratify=unpaid, random_state=0)

# %%
# Two models, two lines
# ---------------------

models = {
    "DeepEnsembleClassifier": DeepEnsembleClassifier(random_state=0),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(random_state=0),
}
for name, model in models.items():
    probability = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    print(
        f"{name:<31} ROC AUC {roc_auc_score(y_test, probability):.3f}, "
        f"log loss {log_loss(y_test, probability):.3f}"
    )
ensemble = models["DeepEnsembleClassifier"]
print(f"dropped: {ensemble.encoder_.dropped_features_}")

fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for name, model in models.items():
    RocCurveDisplay.from_estimator(model, X_test, y_test, name=name, ax=axes[0])
    CalibrationDisplay.from_estimator(
        model, X_test, y_test, n_bins=6, strategy="quantile", name=name, ax=axes[1]
    )
axes[0].legend(loc="lower right", fontsize="small")
axes[0].set_title("Who tells the two kinds of loans apart")
axes[1].set_title("Whose probabilities are true")
fig.suptitle("Loans that were not in training")

# %%
# A score before there is a test set
# ----------------------------------
# Each network was stopped by rows that it did not train on, and judged them. So the training rows
# have an honest probability each, and scikit-learn's own display shows how far they can be
# believed.

print(
    f"log loss out of fold {ensemble.oof_log_loss_:.3f}, on new rows "
    f"{log_loss(y_test, ensemble.predict_proba(X_test)):.3f}"
)
out_of_fold = 1 / (1 + np.exp(-ensemble.oof_decision_function_))
display = CalibrationDisplay.from_predictions(
    y_train, out_of_fold, n_bins=8, strategy="quantile", name="out of fold"
)
display.ax_.set_title("Training rows, judged by networks that did not see them")

# %%
# How the networks were trained
# -----------------------------
# Each has its own loss curves, as any ``DeepBinaryClassifier``; they end where the rows set aside
# stopped gaining. Colours tell the kinds apart: what they see of the table, and their layers.

display = LossCurveDisplay.from_estimator(ensemble)
display.ax_.set_title("The networks of the ensemble")
plt.show()
