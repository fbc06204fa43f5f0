"""
=======================
A run, logged by MLflow
=======================

Parameters, the loss of every epoch and the model, under MLflow's flavour for scikit-learn: it is
loaded as any other, with ``mlflow.pyfunc``. ``pip install mlflow``.
"""

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier

X, y = load_breast_cancer(return_X_y=True)
network = DeepBinaryClassifier((16,), max_iter=20, tol=None, random_state=0)
model = make_pipeline(StandardScaler(), network).fit(X, y)

mlflow.set_tracking_uri("sqlite:///mlflow.db")
with mlflow.start_run():
    mlflow.log_params(network.get_params())
    for epoch, loss in enumerate(network.loss_curve_, 1):
        mlflow.log_metric("loss", loss, step=epoch)
    # its other format, skops, asks for the types that are to be trusted
    info = mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")

loaded = mlflow.pyfunc.load_model(info.model_uri)
same = bool((loaded.predict(X) == model.predict(X)).all())
print(f"loaded from {info.model_uri.partition(':')[0]}, the same predictions: {same}")
