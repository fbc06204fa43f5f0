"""What a worker computes, without a cluster: batches, blocks and threads."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skdnn.dask.actor
from skdnn.dask.actor import PartitionActor
from skdnn.dask.evaluation import NetworkPlan
from skdnn.dask.held import load_partition
from skdnn.dask.loading import _spread
from skdnn.dask.order import Order
from skdnn.network.activations import get_activation
from skdnn.network.network import Network
from skdnn.training.objective import Objective

SIZES = {0: 40, 1: 7, 3: 53}
STARTS = {0: 0, 1: 40, 3: 47}
N_ROWS = 100


def make_order(batch_size, **others):
    return Order(1, N_ROWS, math.ceil(N_ROWS / batch_size), batch_size, **others)


def rows_of(order, batch):
    """Return which rows a batch takes, numbered through all partitions."""
    shares = [
        np.arange(SIZES[k])[order.share(batch, k, STARTS[k], SIZES[k])] + STARTS[k] for k in SIZES
    ]
    return np.concatenate(shares)


def test_batches_are_those_of_the_permutation_of_all_rows():
    random_state = np.random.RandomState(3)
    order = make_order(16, generator=pickle.dumps(random_state), shuffle=True)
    permutation = random_state.permutation(N_ROWS)
    for batch in range(7):
        assert_array_equal(rows_of(order, batch), np.sort(permutation[16 * batch :][:16]))


def test_batches_without_shuffling_are_consecutive_rows():
    order = make_order(30)
    assert_array_equal(rows_of(order, 1), np.arange(30, 60))
    assert_array_equal(rows_of(order, 3), np.arange(90, 100))


def test_batches_of_partition_orders_take_every_row_once_and_in_proportion():
    order = make_order(10, seed=5, shuffle=True)
    batches = [rows_of(order, batch) for batch in range(10)]
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(N_ROWS))
    for batch in batches:
        # a share is rounded up or down
        assert np.count_nonzero(batch < 40) in (4, 5)
        assert np.count_nonzero((batch >= 40) & (batch < 47)) in (0, 1)
        assert np.count_nonzero(batch >= 47) in (5, 6)


def test_partitions_of_one_size_have_orders_of_their_own():
    order = Order(1, 2000, 2, 1000, seed=5, shuffle=True)
    first, second = (order.share(0, number, 1000 * number, 1000) for number in (0, 1))
    assert np.intersect1d(first, second).size < 350  # by chance, 250 of 500
    again = Order(2, 2000, 2, 1000, seed=6, shuffle=True).share(0, 0, 0, 1000)
    assert np.intersect1d(first, again).size < 350


def test_dropout_is_another_in_every_epoch_batch_partition_and_block():
    blocks = [(5, 0, 0, 0), (6, 0, 0, 0), (5, 1, 0, 0), (5, None, 0, 0), (5, 0, 1, 0), (5, 0, 0, 9)]
    draws = [
        Order(1, 2000, 2, 1000, seed=seed).dropout_state(*block).randint(2**31)
        for seed, *block in blocks
    ]
    assert len(set(draws)) == len(blocks)


def test_order_travels_without_what_is_drawn_from_it():
    order = make_order(10, seed=5, shuffle=True)
    drawn = rows_of(order, 3)
    message = pickle.dumps(order)
    assert len(message) < 1000
    assert_array_equal(rows_of(pickle.loads(message), 3), drawn)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradient_does_not_depend_on_threads(monkeypatch, dropout):
    rng = np.random.RandomState(0)
    X = [rng.standard_normal((n, 3)) for n in (300, 500)]
    y = [rng.randint(0, 2, n) for n in (300, 500)]
    plan = NetworkPlan((3, 5, 1), "relu", 0.01, (dropout,), np.dtype(float), False)
    parameters = rng.standard_normal(26)
    order = Order(1, 800, 2, 400, seed=7, shuffle=True)
    shares = []
    for n_threads in (1, 3):
        worker = SimpleNamespace(state=SimpleNamespace(nthreads=n_threads))
        monkeypatch.setattr(skdnn.dask.actor, "get_worker", lambda worker=worker: worker)
        names = ("X", "y", "sample_weight")
        actor = PartitionActor([load_partition(k, X[k], y[k], None, names) for k in (0, 1)])
        actor.encode(np.array([0, 1]), None, np.dtype(float))
        actor.build(plan, {0: 0, 1: 300}, 1.0)
        shares.append(actor.gradient(parameters, order, 1))
    assert shares[0].n_rows == shares[1].n_rows == 400
    assert_allclose(shares[0].value, shares[1].value, rtol=1e-12)
    assert_allclose(shares[0].gradient, shares[1].gradient, rtol=0, atol=1e-14)


def test_gradient_in_blocks_is_that_of_the_objective(monkeypatch):
    rng = np.random.RandomState(0)
    X, y, weight = rng.standard_normal((5000, 3)), rng.randint(0, 2, 5000), rng.uniform(size=5000)
    worker = SimpleNamespace(state=SimpleNamespace(nthreads=1))
    monkeypatch.setattr(skdnn.dask.actor, "get_worker", lambda: worker)
    names = ("X", "y", "sample_weight")
    actor = PartitionActor([load_partition(0, X, y, weight, names)])
    actor.encode(np.array([0, 1]), None, np.dtype(float))
    plan = NetworkPlan((3, 300, 1), "tanh", 0.01, (0.0,), np.dtype(float), False)
    assert plan.block_rows < 1000
    actor.build(plan, {0: 0}, weight.mean())
    parameters = rng.standard_normal(1501)
    share = actor.gradient(parameters, Order(1, 5000, 1, 5000), None)
    network = Network((3, 300, 1), get_activation("tanh", 0.01), np.dtype(float))
    network.parameters[...] = parameters
    value, _ = Objective(network, X, y == 1, weight).value_and_gradient(slice(0, 5000))
    assert_allclose(share.value, value)
    assert_allclose(share.gradient, network.gradient, rtol=0, atol=1e-13)


def test_partitions_move_only_from_workers_that_hold_too_much():
    assert _spread(["a", "a", "b"], [10, 1, 11], {}) == ["a", "a", "b"]
    assert _spread(["a", "a", "a", "b"], [5, 5, 5, 1], {}) == ["b", "a", "a", "b"]
    assert _spread(["a", "a"], [5, 5], {"b": 1}) == ["b", "a"]
    assert _spread(["a", "a"], [5, 5], {}) == ["a", "a"]
    assert _spread(["", "a"], [5, 5], {}) == ["", "a"]
