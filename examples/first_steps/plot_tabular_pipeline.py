"""
=========================================
A table with numbers, categories and gaps
=========================================

A network wants a dense table of scaled numbers. Real tables have categories, missing values and
columns in thousands beside columns in hundredths. A ``ColumnTransformer`` in a ``Pipeline`` does
the translation, and the validation rows for early stopping go through it as well.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")

# %%
# The table
# ---------
# Customers of an imaginary telephone company, and whether they leave. New customers leave, and
# those of many years; how much use drives people away depends on their plan. Some ages are
# missing, and the age bands come by binning.

rng = np.random.default_rng(0)
n_customers = 4000
months = rng.integers(1, 120, n_customers)
plan = rng.choice(["basic", "family", "unlimited"], n_customers, p=[0.5, 0.3, 0.2])
gigabytes = rng.lognormal(1.5, 0.8, n_customers)
age = rng.normal(45, 15, n_customers).clip(18, 90)
region = rng.choice(
    ["north", "south", "east", "west", "island"], n_customers, p=[0.3] * 3 + [0.05] * 2
)
bill = 10 + 2 * gigabytes + rng.normal(0, 3, n_customers)

heavy = gigabytes > 5
log_odds = -3 + 3 * (np.abs(months - 60) > 40) + 0.02 * (45 - age)
log_odds += np.where(plan == "unlimited", -2.0, 2.0) * heavy + 1.5 * (
    (plan == "unlimited") & ~heavy
)
leaves = rng.random(n_customers) < 1 / (1 + np.exp(-log_odds))

table = pd.DataFrame(
    {
        "months": months,
        "plan": plan,
        "gigabytes": gigabytes,
        "age": np.where(rng.random(n_customers) < 0.1, np.nan, age),
        "age band": pd.cut(age, [0, 30, 60, 100], labels=["young", "middle", "old"]).astype(object),
        "region": region,
        "bill": bill,
    }
)
print(table.head().round(1).to_string(index=False))
print(f"{leaves.mean():.0%} of {n_customers} customers leave")
X_rest, X_test, y_rest, y_test = train_test_split(table, leaves, stratify=leaves, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(
    X_rest, y_rest, test_size=0.2, stratify=y_rest, random_state=0
)

# %%
# The pipeline
# ------------
# Gaps are filled with the median and marked in a column of their own; rare regions become one
# category. The network takes ``X_val`` and ``y_val``; naming ``X_val`` in ``transform_input`` sends
# it through the steps before. Both need metadata routing.


def preprocessing():
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(min_frequency=0.1, handle_unknown="infrequent_if_exist")
    return ColumnTransformer(
        [
            ("numbers", numbers, ["months", "gigabytes", "age", "bill"]),
            ("categories", categories, ["plan", "age band", "region"]),
        ]
    )


sklearn.set_config(enable_metadata_routing=True)
network = DeepBinaryClassifier(
    (32, 16),
    learning_rate_init=0.003,
    batch_size=64,
    early_stopping=True,
    scoring="roc_auc",
    random_state=0,
).set_fit_request(X_val=True, y_val=True)
model = Pipeline(
    [("prepare", preprocessing()), ("network", network)], transform_input=["X_val"]
).fit(X_train, y_train, X_val=X_val, y_val=y_val)
linear = make_pipeline(preprocessing(), LogisticRegression()).fit(X_rest, y_rest)
sklearn.set_config(enable_metadata_routing=False)

auc = roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
linear_auc = roc_auc_score(y_test, linear.predict_proba(X_test)[:, 1])
network = model["network"]
print(f"{network.n_features_in_} columns after preprocessing")
print(f"best of {network.n_iter_} epochs: {network.best_iter_}")
print(f"ROC AUC on test rows: network {auc:.3f}, logistic regression {linear_auc:.3f}")

# %%
# The network learns the two bends, in months and between plan and use, that a linear model of the
# same columns cannot express.
#
# Which columns matter
# --------------------
# Permutation importance shuffles one column of the *original* table at a time, so categories stay
# whole and the answer is in the terms of the table. The region plays no part in the rule that
# made the labels, and the bill only repeats the use.

importance = permutation_importance(
    model, X_test, y_test, scoring="roc_auc", n_repeats=10, random_state=0
)
order = np.argsort(importance.importances_mean)
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
axes.barh(
    table.columns[order],
    importance.importances_mean[order],
    xerr=importance.importances_std[order],
    capsize=3,
)
axes.set(
    xlabel="loss of ROC AUC when the column is shuffled",
    title="Importance of the columns, bars: standard deviation",
)
axes.grid(axis="x", alpha=0.3)
plt.show()
