"""
====================
Coming from scikeras
====================

SciKeras puts scikit-learn's interface around a function that builds a Keras model. If it builds a
stack of ``Dense`` layers with one sigmoid unit, :class:`~skdnn.DeepBinaryClassifier` takes its
place: no function, no TensorFlow, and parameters that a grid reaches without routing prefixes.

A typical script:

.. code-block:: python

    def build(meta, n_units, dropout):
        return keras.Sequential([
            keras.layers.Input((meta["n_features_in_"],)),
            keras.layers.Dense(n_units, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(16, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(1, activation="sigmoid"),
        ])

    clf = KerasClassifier(
        build,
        model__n_units=32,
        model__dropout=0.2,
        loss="binary_crossentropy",
        optimizer="adam",
        optimizer__learning_rate=0.003,
        epochs=300,
        batch_size=32,
        validation_split=0.1,
        callbacks=keras.callbacks.EarlyStopping(
            patience=10, min_delta=1e-4, restore_best_weights=True
        ),
        class_weight="balanced",
        random_state=0,
        verbose=0,
    )
    GridSearchCV(clf, {"model__n_units": [16, 32], "optimizer__learning_rate": [0.003, 0.01]})
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdnn import DeepBinaryClassifier
from skdnn.displays import LossCurveDisplay

# %%
# The same in skdnn
# -----------------
# Is a wine of the second cultivar? Dropout can differ from layer to layer, as in the function.

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y == 1, stratify=y, random_state=0)
clf = DeepBinaryClassifier(
    (32, 16),
    dropout=(0.2, 0),
    learning_rate_init=0.003,
    max_iter=300,
    batch_size=32,
    early_stopping=True,
    validation_fraction=0.1,
    n_iter_no_change=10,
    class_weight="balanced",
    tol=1e-4,
    random_state=0,
)
grid = {
    "deepbinaryclassifier__hidden_layer_sizes": [(16, 16), (32, 16)],
    "deepbinaryclassifier__learning_rate_init": [0.003, 0.01],
}
search = GridSearchCV(make_pipeline(StandardScaler(), clf), grid, cv=3).fit(X_train, y_train)
print("best:", {key.split("__")[1]: value for key, value in search.best_params_.items()})
print(f"accuracy on {len(y_test)} test rows: {search.score(X_test, y_test):.3f}")

# %%
# What ``clf.history_`` holds in SciKeras is drawn by a display. Displays take pipelines, too.

display = LossCurveDisplay.from_estimator(search.best_estimator_)
display.ax_.set_title("What history_ holds in SciKeras")
plt.show()

# %%
# Parameter by parameter
# ----------------------
#
# ======================================== =====================================================
# SciKeras                                 skdnn
# ======================================== =====================================================
# ``model``, ``model__*``                  ``hidden_layer_sizes``, ``activation``, ``dropout``
# ``kernel_initializer="he_normal"``       ``init="he"`` (default), not truncated
# ``kernel_initializer="glorot_uniform"``  ``init="xavier", init_distribution="uniform"``
# ``kernel_regularizer=L2(l)``             ``alpha = 2 * l * n_samples``
# ``loss="binary_crossentropy"``           always, from the logits
# ``optimizer="rmsprop"`` (default)        none; ``solver="adam"`` (default)
# ``optimizer__learning_rate``             ``learning_rate_init``
# ``optimizer__global_clipnorm``           ``max_grad_norm``
# ``epochs=1`` (default)                   ``max_iter`` with ``tol=None``
# ``batch_size=None`` (default: 32)        ``batch_size`` (default: 200)
# ``validation_split=0.1``: the last rows  ``early_stopping=True``: random rows, stratified
# ``fit(validation_data=...)``             ``fit(X, y, X_val=..., y_val=...)``
# ``EarlyStopping(patience=10)``           ``n_iter_no_change=10``
# ``EarlyStopping(min_delta=1e-4)``        ``tol=1e-4``
# ``EarlyStopping(monitor="val_auc")``     ``scoring="roc_auc"``
# ``restore_best_weights=True``            always, with ``early_stopping``
# ``ReduceLROnPlateau``                    ``learning_rate="adaptive"``
# ``CosineDecay``                          ``learning_rate="cosine"``, ``warmup``
# ``ModelCheckpoint``                      ``skdnn.Checkpoint``
# ``class_weight``                         the same
# ``warm_start``, ``partial_fit``          the same
# ``random_state``                         the same, with the same bits on every run
# ``verbose=1`` (default)                  ``verbose=False`` (default)
# ``history_["loss"]``                     ``loss_curve_``
# ``history_["val_loss"]``                 ``validation_loss_curve_``
# ``model_.get_weights()``                 ``coefs_`` and ``intercepts_``, the same shapes
# ``model_.save("m.keras")``               ``skdnn.save_model(clf, "m.h5")``
# ======================================== =====================================================
#
# Two habits to drop: labels need no encoding (strings and booleans are taken as they are), and a
# compiled model need not be rebuilt for a search, so a fit of this size takes a fraction of a
# second.

strings = search.best_estimator_.fit(X_train, ["second" if label else "other" for label in y_train])
print(strings.classes_)
