"""
=====================================
SHAP values, in the unit of the logit
=====================================

SHAP explains a prediction as a sum over the features. Explain ``decision_function``: log-odds add
up, probabilities do not. ``pip install shap``. For the importance of columns, and without another
package, see :func:`sklearn.inspection.permutation_importance`, which takes any skdnn model.
"""

import numpy as np
import shap
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

data = load_breast_cancer()
X = StandardScaler().fit_transform(data.data)
model = DeepBinaryClassifier((16,), max_iter=50, tol=None, random_state=0).fit(X, data.target)

background = shap.maskers.Independent(X[:20])
explain = shap.PermutationExplainer(model.decision_function, background, seed=0)
explanation = explain(X[:3])
largest = np.argsort(-np.abs(explanation.values[0]))[:5]
print("first biopsy, logit by its five largest parts:")
for j in largest:
    print(f"  {data.feature_names[j]:22} {explanation.values[0, j]:+.2f}")
sums = explanation.values.sum(axis=1) + explanation.base_values
print("the parts add up to the logits:", bool(np.allclose(sums, model.decision_function(X[:3]))))
