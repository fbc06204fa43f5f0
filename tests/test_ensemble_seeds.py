"""DeepEnsembleClassifier with a seed is reproducible, whatever draws inside its encoders."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler, TargetEncoder

from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.ensemble.folds import draw_seed
from skdnn.preprocessing import TableEncoder

SMALL = DeepBinaryClassifier((4,), learning_rate_init=0.01, max_iter=3, tol=None)


@pytest.fixture(scope="module")
def towns():
    """Return a table with a column of many levels, which is encoded by the target, and labels."""
    rng = np.random.RandomState(0)
    town = rng.randint(0, 60, 600)
    y = rng.rand(600) < 1 / (1 + np.exp(-rng.standard_normal(60)[town]))
    return pd.DataFrame({"town": [f"t{k}" for k in town], "x": rng.rand(600)}), y.astype(int)


def small(**parameters):
    return DeepEnsembleClassifier(SMALL, **{"n_estimators": 4, "random_state": 0} | parameters)


def drawing(random_state=None):
    return TableEncoder(max_levels=5, random_state=random_state)


ENCODERS = [
    drawing(),
    make_pipeline(drawing()),
    make_pipeline(drawing(), StandardScaler()),
    make_pipeline(drawing(np.random.RandomState(3)), StandardScaler()),
    make_column_transformer((TargetEncoder(), ["town"]), remainder="passthrough"),
    make_column_transformer((TargetEncoder(cv=3, target_type="continuous"), ["town"])),
    make_column_transformer(
        (drawing(), ["town"]), (KBinsDiscretizer(encode="onehot-dense"), ["x"])
    ),
    drawing(np.random.RandomState(3)),
]


@pytest.mark.filterwarnings("ignore:The default value of `quantile_method`:FutureWarning")
@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: type(encoder).__name__)
def test_ensemble_with_a_seed_is_reproducible_with_every_encoder(encoder, towns):
    X, y = towns
    first, second = (small(encoder=clone(encoder)).fit(X, y).predict_proba(X) for _ in range(2))
    assert_array_equal(first, second)
    assert (small(encoder=encoder, random_state=1).fit(X, y).predict_proba(X) != first).any()


@pytest.mark.parametrize("place", ["encoder", "kinds"])
def test_generator_of_an_encoder_is_one_seed_for_all_networks(place, towns):
    X, y = towns
    encoder = drawing(np.random.RandomState(3))
    given = {"encoder": encoder} if place == "encoder" else {"kinds": [(encoder, SMALL)]}
    model = small(**given).fit(X, y)
    seed = model.encoder_.random_state
    assert isinstance(seed, int)
    assert {encoder.random_state for encoder in model.encoders_} == {seed}
    threads = small(**given, n_jobs=2).fit(X, y)
    assert_array_equal(threads.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("target_type", "kind"), [("auto", StratifiedKFold), ("continuous", KFold)]
)
def test_folds_of_a_target_encoder_are_of_the_kind_that_it_makes_itself(target_type, kind, towns):
    encoder = make_column_transformer((TargetEncoder(target_type=target_type), ["town"]))
    found = small(encoder=encoder, n_estimators=1).fit(*towns).encoder_
    assert type(found.get_params()["targetencoder__cv"]) is kind


def test_generators_of_the_user_are_left_as_they_are(towns):
    generator = np.random.RandomState(3)
    small(encoder=drawing(generator)).fit(*towns)
    assert generator.randint(1000) == np.random.RandomState(3).randint(1000)


def test_warm_start_goes_on_with_an_encoder_that_has_a_generator(towns):
    X, y = towns
    encoder = drawing(np.random.RandomState(3))
    model = small(n_estimators=2, encoder=encoder, warm_start=True, cv=4).fit(X, y)
    model.set_params(n_estimators=4).fit(X, y)
    at_once = small(encoder=encoder, cv=4).fit(X, y)
    assert_array_equal(model.predict_proba(X), at_once.predict_proba(X))


@pytest.mark.parametrize("cv", [StratifiedKFold(3, shuffle=True, random_state=7), 4])
def test_seeds_and_folds_that_are_given_stay(cv, towns):
    X, y = towns
    encoder = make_pipeline(TargetEncoder(cv=cv), drawing(5)).set_output(transform="pandas")
    found = small(encoder=encoder).fit(X, y).encoder_.get_params()
    assert found["tableencoder__random_state"] == 5
    kept = found["targetencoder__cv"]
    assert kept.get_n_splits() == (cv if isinstance(cv, int) else 3)
    assert isinstance(cv, int) or kept.random_state == 7


def test_every_network_draws_by_a_seed_of_its_own(towns):
    kinds = [("auto", SMALL), ("auto", SMALL)]
    seeds = set()
    for random_state in range(2):
        model = DeepEnsembleClassifier(n_estimators=6, kinds=kinds, random_state=random_state)
        seeds |= {network.random_state for network in model.fit(*towns).estimators_}
    assert len(seeds) == 12


def test_kinds_that_say_the_same_are_judged_alike():
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((60, 20)), rng.rand(60) > 0.5  # nothing to learn
    # which draws nothing
    network = DeepBinaryClassifier(
        (), solver="gd", init_scale=1e-30, learning_rate_init=0.5, max_iter=30, tol=None
    )
    model = DeepEnsembleClassifier(n_estimators=8, kinds=[(None, network)] * 2, random_state=0)
    # rows are judged in the same epochs, or one kind would seem the better of the two
    assert_array_equal(model.fit(X, y).estimator_weights_, 1 / 8)


def test_generators_of_every_purpose_have_a_seed_of_their_own():
    seeds = {draw_seed(root, *path) for root in range(3) for path in np.ndindex(5, 20)}
    assert len(seeds) == 3 * 5 * 20


def test_warm_start_goes_on_with_the_kind_whose_turn_it_is(towns):
    kinds = [("auto", SMALL), (TableEncoder(n_bins=4), clone(SMALL).set_params(max_iter=1))]
    model = DeepEnsembleClassifier(n_estimators=5, kinds=kinds, cv=3, random_state=0)
    steps = clone(model).set_params(warm_start=True, n_estimators=3).fit(*towns)
    steps.set_params(n_estimators=5).fit(*towns)
    model.fit(*towns)
    assert_array_equal(steps.estimator_weights_, model.estimator_weights_)
    assert_array_equal(steps.oof_decision_function_, model.oof_decision_function_)
