"""class_weight: sample weights by label, alone and together with the rows' own."""

import datetime
import functools
from decimal import Decimal

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss, recall_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import check_class_weight_classifiers

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.network.activations import get_activation
from skdnn.network.network import Network
from skdnn.training.objective import Objective
from tests import models
from tests.models import RATES, assert_same_bits, parameters_of

ALL_SOLVERS = pytest.mark.parametrize("solver", RATES)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])

make_model = functools.partial(models.make_model, max_iter=8, batch_size=16)


@pytest.fixture(scope="module")
def data():
    """Return 60 rows, 20 of them of class 1."""
    generator = np.random.RandomState(1)
    y = np.repeat([0, 1], [40, 20])
    X = generator.standard_normal((60, 4)) + y[:, None]
    order = generator.permutation(60)
    return X[order], y[order]


# ---------------------------------------------------------------------- the same as sample weights


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_class_weight_is_the_sample_weight_of_the_labels(solver, early_stopping, data):
    X, y = data
    common = {"early_stopping": early_stopping}
    assert_same_bits(
        make_model(solver, class_weight={0: 0.7, 1: 3.1}, **common).fit(X, y),
        make_model(solver, **common).fit(X, y, np.where(y == 1, 3.1, 0.7)),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_weight_keeps_the_dtype(dtype, data):
    X, y = data
    model = make_model(class_weight={0: 0.7, 1: 3.1}).fit(X.astype(dtype), y)
    assert model.coefs_[0].dtype == dtype


@FIRST_ORDER_SOLVERS
def test_class_weight_of_partial_fit_is_the_sample_weight_of_the_labels(solver, data):
    X, y = data
    weight = np.where(y == 1, 3.1, 0.7)
    by_class = make_model(solver, class_weight={0: 0.7, 1: 3.1})
    by_row = make_model(solver)
    assert_same_bits(
        by_class.partial_fit(X, y, classes=[0, 1]).partial_fit(X, y),
        by_row.partial_fit(X, y, weight, classes=[0, 1]).partial_fit(X, y, weight),
    )


@ALL_SOLVERS
def test_class_weight_multiplies_the_sample_weight(solver, data, weight):
    X, y = data
    assert_same_bits(
        make_model(solver, class_weight={0: 0.7, 1: 3.1}).fit(X, y, weight),
        make_model(solver).fit(X, y, weight * np.where(y == 1, 3.1, 0.7)),
    )


@pytest.mark.parametrize(
    "labels", [["no", "yes"], ["0", "1"], [-1, 1], [False, True], [1.0, 2.0]], ids=str
)
def test_class_weight_is_told_by_label(labels, data):
    X, y = data
    class_weight = dict(zip(labels, (0.7, 3.1), strict=True))
    assert_same_bits(
        make_model(class_weight=class_weight).fit(X, np.array(labels)[y]),
        make_model(class_weight={0: 0.7, 1: 3.1}).fit(X, y),
    )


def test_class_that_is_not_named_has_weight_one(data):
    assert_same_bits(
        make_model(class_weight={1: 3.1}).fit(*data),
        make_model(class_weight={0: 1.0, 1: 3.1}).fit(*data),
    )


@pytest.mark.parametrize("batch", [0, 1])
def test_class_that_is_not_named_may_be_alone_in_a_batch(batch, data):
    X, y = data
    rows = y == batch
    named, whole = make_model(class_weight={1: 3.1}), make_model(class_weight={0: 1.0, 1: 3.1})
    assert_same_bits(
        named.partial_fit(X[rows], y[rows], classes=[0, 1]),
        whole.partial_fit(X[rows], y[rows], classes=[0, 1]),
    )


# ---------------------------------------------------------------------- balanced


@ALL_SOLVERS
def test_balanced_is_scikit_learns_formula(solver, data):
    X, y = data
    assert_same_bits(
        make_model(solver, class_weight="balanced").fit(X, y),
        make_model(solver).fit(X, y, compute_sample_weight("balanced", y)),
    )


def test_balanced_counts_rows_by_their_weights(data, weight):
    X, y = data
    of_class = np.bincount(y, weight)
    assert_same_bits(
        make_model(class_weight="balanced").fit(X, y, weight),
        make_model().fit(X, y, (weight.sum() / (2 * of_class))[y] * weight),
    )


def test_balanced_weighs_the_rows_of_a_partial_fit(data):
    X, y = data
    first = slice(0, 30)
    assert_same_bits(
        make_model(class_weight="balanced").partial_fit(X[first], y[first], classes=[0, 1]),
        make_model().partial_fit(
            X[first], y[first], compute_sample_weight("balanced", y[first]), classes=[0, 1]
        ),
    )


def test_balanced_takes_a_batch_of_one_class(data):
    X, y = data
    rows = y == 1
    assert_same_bits(
        make_model(class_weight="balanced").partial_fit(X[rows], y[rows], classes=[0, 1]),
        make_model().partial_fit(X[rows], y[rows], np.ones(20), classes=[0, 1]),
    )


def test_balanced_helps_the_rare_class(data):
    X, y = data
    plain = make_model("lbfgs").fit(X, y)
    balanced = make_model("lbfgs", class_weight="balanced").fit(X, y)
    assert balanced.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


# ---------------------------------------------------------------------- the loss


def test_loss_divides_by_the_weight_sum(data):
    X, y = data
    # a rate that leaves the parameters where they are
    model = make_model("gd", alpha=0.0, learning_rate_init=1e-300, class_weight={0: 0.7, 1: 3.1})
    model.set_params(max_iter=1).fit(X, y)
    weight = np.where(y == 1, 3.1, 0.7)
    expected = log_loss(y, model.predict_proba(X), sample_weight=weight)
    assert model.loss_ == pytest.approx(expected, rel=1e-12)


def test_loss_of_batches_divides_by_the_weight_sum(data):
    X, y = data
    model = make_model("sgd", alpha=0.0, learning_rate_init=1e-300, batch_size=7)
    model.set_params(max_iter=1, class_weight={0: 0.7, 1: 3.1}).fit(X, y)
    weight = np.where(y == 1, 3.1, 0.7)
    expected = log_loss(y, model.predict_proba(X), sample_weight=weight)
    assert model.loss_ == pytest.approx(expected, rel=1e-12)


def test_penalty_divides_by_the_weight_sum(data):
    X, y = data
    common = {"learning_rate_init": 1e-300, "max_iter": 1, "class_weight": {0: 0.7, 1: 3.1}}
    plain = make_model("gd", alpha=0.0, **common).fit(X, y)
    penalised = make_model("gd", alpha=2.0, **common).fit(X, y)
    squares = sum(np.sum(weights**2) for weights in penalised.coefs_)
    expected = squares / np.where(y == 1, 3.1, 0.7).sum()
    assert penalised.loss_ - plain.loss_ == pytest.approx(expected, rel=1e-10)


def test_validation_loss_counts_class_weights(data):
    X, y = data
    model = make_model(class_weight={0: 0.7, 1: 3.1}, early_stopping=True, max_iter=1)
    model.fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
    weight = np.where(y[30:] == 1, 3.1, 0.7)
    expected = log_loss(y[30:], model.predict_proba(X[30:]), sample_weight=weight)
    assert model.validation_loss_curve_[0] == pytest.approx(expected, rel=1e-12)


# ---------------------------------------------------------------------- batches


def make_objective(batch_size, weight, **options):
    generator = np.random.RandomState(3)
    network = Network((4, 5, 1), get_activation("tanh"), np.dtype(float))
    network.parameters[...] = generator.standard_normal(network.parameters.size)
    X, y = generator.standard_normal((60, 4)), generator.uniform(size=60) < 0.3
    return Objective(
        network, X, y, weight, batch_size=batch_size, random_state=generator, **options
    )


@pytest.mark.parametrize("batch_size", [1, 7, 16, 60])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_batches_add_up_to_the_objective(batch_size, alpha, weight):
    whole, objective = (make_objective(size, weight, alpha=alpha) for size in (60, batch_size))
    value, _ = whole.value_and_gradient(whole.all_rows())
    total, gradient = 0.0, np.zeros_like(objective.gradient)
    for batch in objective.batches():
        part, n_rows = objective.value_and_gradient(batch)
        total += n_rows * part
        gradient += n_rows * objective.gradient
    assert total / objective.weight_sum == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(gradient / 60, whole.gradient, rtol=1e-10, atol=1e-14)


def test_part_of_more_rows_is_measured_by_their_mean_weight(weight):
    alone, part = (make_objective(60, weight, mean_weight=m) for m in (None, 2 * weight.mean()))
    value, n_rows = alone.value_and_gradient(alone.all_rows())
    halved, _ = part.value_and_gradient(part.all_rows())
    assert halved == pytest.approx(value / 2, rel=1e-12)
    np.testing.assert_allclose(part.gradient, alone.gradient / 2, rtol=1e-12)
    assert n_rows * halved / part.weight_sum == pytest.approx(value, rel=1e-12)


def test_weights_matter_where_a_batch_is_one_row(data, weight):
    X, y = data
    plain, weighted = (make_model(batch_size=1).fit(X, y, w) for w in (None, weight))
    assert np.abs(parameters_of(plain) - parameters_of(weighted)).max() > 0.01


@pytest.mark.parametrize("solver", ["gd", "adam", "adamw"])
def test_rare_class_that_is_balanced_weighs_as_much_as_the_other(solver):
    generator = np.random.RandomState(0)
    y = np.zeros(10_000, int)
    y[generator.permutation(10_000)[:10]] = 1
    noise = generator.standard_normal((10_000, 3))
    model = make_model(solver, class_weight="balanced", batch_size="auto", activation="tanh").fit(
        noise, y
    )
    assert model.predict_proba(noise)[:, 1].mean() == pytest.approx(0.5, abs=0.1)


@FIRST_ORDER_SOLVERS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_whose_weights_vanish_teaches_nothing(solver, dtype):
    generator = np.random.RandomState(0)
    X, y = generator.standard_normal((2500, 3)).astype(dtype), np.arange(2500) % 2
    decaying = 0.5 ** np.minimum(np.arange(2500.0), 1000)
    model = make_model(solver, shuffle=False, max_iter=2).fit(X, y, decaying)
    assert np.isfinite(parameters_of(model)).all()


# ---------------------------------------------------------------------- what is refused


@ALL_SOLVERS
def test_label_that_y_does_not_have_is_named(solver, data):
    with pytest.raises(ValueError, match=r"class_weight names \[2\]"):
        make_model(solver, class_weight={0: 1.0, 2: 1.0}).fit(*data)


def test_label_of_another_type_is_named(data):
    with pytest.raises(ValueError, match=r"class_weight names \['yes'\]"):
        make_model(class_weight={0: 1.0, "yes": 1.0}).fit(*data)


@pytest.mark.parametrize("bad", [-1.0, np.inf, np.nan])
def test_class_weight_must_be_finite_and_not_negative(bad, data):
    with pytest.raises(ValueError, match="class_weight must not be negative or infinite"):
        make_model(class_weight={0: 1.0, 1: bad}).fit(*data)


@pytest.mark.parametrize("bad", ["even", 2.0, [1.0, 2.0]], ids=str)
def test_class_weight_of_another_kind_is_named(bad, data):
    with pytest.raises(ValueError, match="The 'class_weight' parameter"):
        make_model(class_weight=bad).fit(*data)


@ALL_SOLVERS
@pytest.mark.parametrize("label", [0, 1])
def test_class_of_weight_zero_is_as_if_it_were_not_there(solver, label, data):
    with pytest.raises(ValueError, match=r"needs samples of 2 classes.*positive.*one class"):
        make_model(solver, class_weight={label: 0.0}).fit(*data)


def test_batch_without_any_weight_is_refused(data):
    X, y = data
    model = make_model(class_weight={0: 0.0}).partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="class_weight leaves no row a positive weight"):
        model.partial_fit(X[y == 0], y[y == 0])


def test_refused_class_weight_leaves_the_model_as_it_was(data):
    X, y = data
    model = make_model().fit(X, y)
    before = parameters_of(model)
    with pytest.raises(ValueError, match="class_weight"):
        model.set_params(class_weight={0: -1.0}).fit(X, y)
    np.testing.assert_array_equal(parameters_of(model), before)


# ---------------------------------------------------------------------- scikit-learn's own check


@pytest.mark.parametrize(
    "model",
    [
        DeepBinaryClassifier(),
        DeepBinaryClassifier(solver="adamw"),
        DeepBinaryClassifier(solver="sgd", learning_rate_init=0.1),
        DeepBinaryClassifier(solver="gd", learning_rate_init=0.1),
        DeepBinaryClassifier(solver="lbfgs"),
        DeepBinaryClassifier(early_stopping=True),
    ],
    ids=str,
)
@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Hidden layer:UserWarning"
)
def test_scikit_learns_class_weight_check_passes(model):
    check_class_weight_classifiers("DeepBinaryClassifier", model)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "weights",
    [
        {"class_weight": {0: 1e308, 1: 1e308}},
        {"class_weight": {0: 1e10, 1: 1e10}, "sample_weight": 1e300},
        {"sample_weight": 1e308},
    ],
    ids=str,
)
def test_weights_whose_sum_overflows_are_named(weights, data):
    params = dict(weights)
    sample_weight = params.pop("sample_weight", None)
    with pytest.raises(ValueError, match="sum of the weights"):
        make_model(**params).fit(*data, sample_weight)


@pytest.mark.parametrize(
    "weight", ["a", "2", b"2", None, np.timedelta64(1, "s"), np.datetime64(1, "s")]
)
def test_class_weights_that_are_no_numbers_are_named(weight, data):
    with pytest.raises(ValueError, match="class_weight must map labels to numbers"):
        make_model(class_weight={0: weight}).fit(*data)


def test_one_number_weighs_all_rows(data):
    weighted = make_model(alpha=0).fit(*data, 2.0)
    assert_same_bits(weighted, make_model(alpha=0).fit(*data, np.full(60, 2)))


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [(DeepBinaryClassifier, {"max_iter": 2, "tol": None}), (DeepEnsembleClassifier, {})],
)
def test_weights_that_are_none_are_named_in_scoring(estimator, parameters, data):
    model = estimator(random_state=0).set_params(**parameters).fit(*data)
    assert model.score(*data, 2.0) == model.score(*data)
    with pytest.raises(ValueError, match="sample_weight must be numbers, one a row of X"):
        model.score(*data, "balanced")
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(60,\)"):
        model.score(*data, np.ones(59))
    masked = np.ma.array(np.ones(60), mask=np.arange(60) < 9)
    for method in (model.fit, model.score):
        with pytest.raises(ValueError, match="sample_weight has 9 masked entries"):
            method(*data, masked)


def test_adam_recalls_a_rare_class_as_lbfgs_does():
    generator = np.random.RandomState(0)
    y = generator.uniform(size=20_000) < 0.003
    X = generator.standard_normal((20_000, 10))
    X[:, :3] += 0.9 * y[:, np.newaxis]
    adam = DeepBinaryClassifier((), class_weight="balanced", random_state=0).fit(X, y)
    lbfgs = DeepBinaryClassifier((), class_weight="balanced", solver="lbfgs", max_iter=500)
    recalls = [recall_score(y, model.predict(X)) for model in (adam, lbfgs.fit(X, y))]
    assert recalls[1] > 0.7
    assert abs(recalls[0] - recalls[1]) <= 0.05


DAYS = np.arange(60).astype("datetime64[D]")
NO_NUMBERS = {
    "dict": {0: 1, 1: 2},
    "text": ["a"] * 60,
    "digits": ["1"] * 60,
    "digits beside numbers": ["1", *[1.0] * 59],
    "array of digits": np.full(60, "1"),
    "objects of digits": np.full(60, "1", object),
    "series of digits": pd.Series(["1"] * 60),
    "bytes": [b"1"] * 60,
    "scalar": np.array(1.0),
    "dates": DAYS,
    "list of dates": list(DAYS),
    "objects of dates": np.array([*DAYS, None], object)[:60],
    "dates of Python": [datetime.date(2026, 11, 27)] * 60,
    "dates of polars": pl.Series(DAYS),
    "durations": np.arange(60).astype("timedelta64[s]"),
    "list of durations": list(np.arange(60).astype("timedelta64[s]")),
    "durations of polars": pl.Series([datetime.timedelta(1)] * 60),
    "duration beside numbers": [np.timedelta64(1, "D"), *[1.0] * 59],
    "one duration": np.timedelta64(1, "D"),
    "records": np.ones(60, "f8,f8"),
}


@pytest.mark.parametrize("weight", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "score", "ensemble"])
def test_weights_that_are_no_numbers_are_named(method, weight, data):
    model = make_model(max_iter=1, tol=None, alpha=0).fit(*data)
    call = {
        "fit": DeepBinaryClassifier().fit,
        "partial_fit": model.partial_fit,
        "score": model.score,
        "ensemble": DeepEnsembleClassifier(n_estimators=1).fit,
    }[method]
    with pytest.raises(ValueError, match="sample_weight must be numbers"):
        call(*data, sample_weight=weight)


@pytest.mark.parametrize(
    "weight",
    [
        [Decimal(2)] * 60,
        pd.Series([2] * 60, dtype="category"),
        pd.Series([2] * 60, dtype="Int64"),
        pl.Series([2] * 60),
        np.full(60, 2, object),
    ],
    ids=["decimals", "categories", "nullable", "polars", "objects"],
)
def test_numbers_of_any_container_are_weights(weight, data):
    weighted = make_model(alpha=0).fit(*data, weight)
    assert_same_bits(weighted, make_model(alpha=0).fit(*data, np.full(60, 2)))


@pytest.mark.parametrize("weight", [[b"1"] * 60, ["1"] * 60, np.full(60, 1j), np.ones(60, "f8,f8")])
@pytest.mark.parametrize("model", [DeepBinaryClassifier(), DeepEnsembleClassifier()])
def test_dataset_of_anything_but_numbers_is_no_weights(model, weight, data, tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["weight"] = weight
        dataset = file["weight"]
        with pytest.raises(ValueError, match=r"sample_weight must be numbers, .* <HDF5 dataset"):
            model.fit(*data, dataset)
    with pytest.raises(ValueError, match=r"sample_weight must be numbers, .* <Closed HDF5"):
        model.fit(*data, dataset)


@pytest.mark.parametrize("ensemble", [False, True])
def test_scoring_that_takes_no_weights_is_named_before_training(ensemble):
    X, y = make_classification(100, random_state=0)
    epochs = []

    def scoring(model, X, y):
        epochs.append(1)
        return model.score(X, y)

    model = DeepBinaryClassifier((3,), early_stopping=True, scoring=scoring, random_state=0)
    if ensemble:
        model = DeepEnsembleClassifier(model, n_estimators=2)
    with pytest.raises(TypeError, match="takes no sample_weight, and rows have weights"):
        model.fit(X, y, sample_weight=np.ones(100) + y)
    assert not epochs
