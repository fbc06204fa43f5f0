"""
=====================
A model card by skops
=====================

What a model is for, how good it is and how to use it, beside its file. ``pip install skops``.
"""

import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.card import Card

from skdnn import DeepBinaryClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
network = DeepBinaryClassifier((16,), max_iter=50, tol=None, random_state=0)
model = make_pipeline(StandardScaler(), network).fit(X_train, y_train)

probability = model.predict_proba(X_test)[:, 1]
card = Card(model)
card.add(
    **{
        "Model description": "Tells benign from malignant biopsies by 30 measurements of cells.",
        "Model description/Intended uses & limitations": "An example; not for patients.",
    }
)
card.add_metrics(
    roc_auc=round(roc_auc_score(y_test, probability), 4),
    log_loss=round(log_loss(y_test, probability), 4),
)
card.save(Path(tempfile.mkdtemp(), "README.md"))
print("\n".join(card.render().splitlines()[:5]))
