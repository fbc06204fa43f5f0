"""What the estimator tells its user: warnings, lines of progress, its HTML and its tags."""

import functools
import re
import warnings
from email.message import Message

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import estimator_html_repr, get_tags

from skdnn import DeepBinaryClassifier
from skdnn._version import documentation_url
from skdnn.network.activations import ACTIVATIONS
from tests import models
from tests.models import RATES

ALL_SOLVERS = pytest.mark.parametrize("solver", RATES)
FIRST_ORDER_SOLVERS = pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw"])

make_model = functools.partial(models.make_model, max_iter=6, batch_size=16)


def warnings_of(model, *data):
    """Return what a fit warns of, as (category, text)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data)
    return [(warning.category, str(warning.message)) for warning in caught]


# ---------------------------------------------------------------------- convergence


@ALL_SOLVERS
def test_running_out_of_epochs_warns_where_there_is_a_stopping_rule(solver, data):
    with pytest.warns(ConvergenceWarning):
        make_model(solver, tol=1e-12).fit(*data)


@ALL_SOLVERS
def test_warning_names_max_iter(solver, data):
    with pytest.warns(ConvergenceWarning, match="max_iter=6"):
        make_model(solver, tol=1e-12).fit(*data)


@ALL_SOLVERS
def test_warning_tells_how_to_switch_the_rule_off(solver, data):
    with pytest.warns(ConvergenceWarning, match="tol=None"):
        make_model(solver, tol=1e-12).fit(*data)


@FIRST_ORDER_SOLVERS
def test_warning_tells_what_to_raise(solver, data):
    with pytest.warns(ConvergenceWarning, match="raise max_iter or learning_rate_init"):
        make_model(solver, tol=1e-12).fit(*data)


@FIRST_ORDER_SOLVERS
def test_early_stopping_that_did_not_stop_warns(solver, data):
    with pytest.warns(ConvergenceWarning, match="max_iter=6"):
        make_model(solver, tol=1e-12, early_stopping=True).fit(*data)


@ALL_SOLVERS
@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_a_stopping_rule_nothing_is_missing(solver, early_stopping, data):
    assert warnings_of(make_model(solver, early_stopping=early_stopping), *data) == []


@ALL_SOLVERS
def test_plateau_is_convergence(solver, data):
    model = make_model(solver, tol=1.0, n_iter_no_change=2, max_iter=50)
    assert warnings_of(model, *data) == []


@ALL_SOLVERS
def test_warning_is_one(solver, data):
    assert len(warnings_of(make_model(solver, tol=1e-12), *data)) == 1


@FIRST_ORDER_SOLVERS
def test_partial_fit_misses_no_convergence(solver, data):
    model = make_model(solver, tol=1e-12).partial_fit(*data, classes=[0, 1])
    assert model.n_iter_ == 1


# ---------------------------------------------------------------------- dead layers


def killed(layer, data, **parameters):
    """Return a model whose hidden layer, counted from 1, is 0 on all rows; before its next fit."""
    # at a rate that brings no layer to life, and kills no other
    common = {"warm_start": True, "max_iter": 1, "learning_rate_init": 1e-6}
    model = make_model(hidden=(5, 3, 4), **common, **parameters).fit(*data)
    for number, bias in enumerate(model.intercepts_, start=1):
        bias[:] = -1e4 if number == layer else 1e2
    return model


LAYERS = pytest.mark.parametrize(("layer", "n_units"), [(1, 5), (2, 3), (3, 4)])


@LAYERS
def test_dead_layer_is_named(layer, n_units, data):
    with pytest.warns(UserWarning, match=f"Hidden layer {layer} of 3 is dead"):
        killed(layer, data).fit(*data)


@LAYERS
def test_share_of_dead_units_is_told(layer, n_units, data):
    with pytest.warns(UserWarning, match=rf"{n_units} of its {n_units} units \(100 %\)"):
        killed(layer, data).fit(*data)


@pytest.mark.parametrize("remedy", ["learning_rate_init", "StandardScaler", "leaky_relu"])
def test_remedies_for_a_dead_layer_are_told(remedy, data):
    with pytest.warns(UserWarning, match=f"is dead.*{remedy}"):
        killed(2, data).fit(*data)


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "adamw", "lbfgs"])
def test_every_solver_tells_of_a_dead_layer(solver, data):
    with pytest.warns(UserWarning, match="Hidden layer 1 of 3 is dead"):
        killed(1, data, solver=solver).fit(*data)


def test_huge_steps_kill_a_layer(data):
    with pytest.warns(UserWarning, match="Hidden layer 2 of 2 is dead"):
        make_model("gd", learning_rate_init=1e3, max_iter=5, random_state=0).fit(*data)


def test_rows_of_a_row_space_find_the_dead_layer():
    generator = np.random.RandomState(0)
    X = generator.standard_normal((30, 200))
    y = X[:, 0] > 0
    model = make_model("gd", row_space=True, warm_start=True, max_iter=1).fit(X, y)
    model.intercepts_[0][:] = -1e4
    with pytest.warns(UserWarning, match="Hidden layer 1 of 2 is dead"):
        model.fit(X, y)


def test_layer_with_one_unit_alive_is_not_dead(data):
    model = killed(1, data)
    model.intercepts_[0][0] = 1e2
    assert warnings_of(model, *data) == []


def test_layer_that_one_row_activates_is_not_dead(data):
    X, y = data
    X = np.vstack([X, np.full(4, 1e3)])
    model = make_model(warm_start=True, max_iter=1, learning_rate_init=1e-9, hidden=(1,))
    model.fit(X, np.append(y, 1))
    model.coefs_[0][:] = 1.0
    model.intercepts_[0][:] = -1e3
    assert warnings_of(model, X, np.append(y, 1)) == []


@ALL_SOLVERS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_healthy_network_is_not_warned_of(solver, activation, data):
    assert warnings_of(make_model(solver, (20, 10), activation=activation), *data) == []


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
def test_only_relu_dies(activation, data):
    assert warnings_of(killed(1, data, activation=activation), *data) == []


def test_network_without_hidden_layers_cannot_die(data):
    assert warnings_of(make_model(hidden=()), *data) == []


# ---------------------------------------------------------------------- lines of progress


def lines(model, data, capsys):
    model.set_params(verbose=True).fit(*data)
    return capsys.readouterr().out.splitlines()


def numbers(label, printed):
    return [float(re.search(rf"{label} = (-?[\d.e-]+)", line)[1]) for line in printed]


@ALL_SOLVERS
def test_lines_tell_the_loss(solver, data, capsys):
    model = make_model(solver)
    assert numbers("loss", lines(model, data, capsys)) == pytest.approx(model.loss_curve_, abs=1e-8)


@ALL_SOLVERS
def test_lines_tell_the_validation_score(solver, data, capsys):
    model = make_model(solver, early_stopping=True, scoring="roc_auc", validation_fraction=0.3)
    assert numbers("validation score", lines(model, data, capsys)) == pytest.approx(
        model.validation_scores_, abs=1e-6
    )


@FIRST_ORDER_SOLVERS
def test_lines_tell_the_learning_rate(solver, data, capsys):
    model = make_model(solver, learning_rate="cosine")
    assert numbers("learning rate", lines(model, data, capsys)) == pytest.approx(
        model.learning_rate_curve_, rel=1e-3
    )


@ALL_SOLVERS
def test_lines_tell_the_time(solver, data, capsys):
    printed = lines(make_model(solver), data, capsys)
    assert all(re.search(r", \d+\.\d s$", line) for line in printed)


@ALL_SOLVERS
def test_lines_count_epochs(solver, data, capsys):
    printed = lines(make_model(solver), data, capsys)
    assert [line.split(",")[0] for line in printed] == [f"Iteration {i}" for i in range(1, 7)]


def test_lbfgs_tells_of_no_learning_rate(data, capsys):
    assert "learning rate" not in "".join(lines(make_model("lbfgs"), data, capsys))


def test_nothing_is_said_of_a_validation_that_is_not_there(data, capsys):
    assert "validation" not in "".join(lines(make_model(), data, capsys))


@ALL_SOLVERS
def test_silence_is_the_default(solver, data, capfd):
    make_model(solver).fit(*data)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------------- HTML


@pytest.fixture(scope="module")
def html():
    """Return what a notebook shows once the documentation has a host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skdnn.classifier.documentation_url", lambda: "https://host/stable")
        return estimator_html_repr(DeepBinaryClassifier())


@pytest.fixture(scope="module")
def links(html):
    return re.findall(r'href="([^"]*)"', html)


def test_html_links_to_nothing_as_long_as_the_documentation_has_no_host():
    assert documentation_url() == ""
    assert "href" not in estimator_html_repr(DeepBinaryClassifier())


def test_html_links_to_the_documentation(links):
    assert links[0] == "https://host/stable/generated/skdnn.DeepBinaryClassifier.html"


def test_documentation_is_where_the_project_says(monkeypatch):
    entries = Message()
    entries["Project-URL"] = "Source, https://source"
    entries["Project-URL"] = "Documentation, https://host/stable/"
    monkeypatch.setattr("skdnn._version.metadata", lambda name: entries)
    assert documentation_url.__wrapped__() == "https://host/stable"


@pytest.mark.parametrize("name", DeepBinaryClassifier().get_params())
def test_html_links_to_every_parameter(name, links):
    assert any(f"#:~:text={name}," in link for link in links)


@pytest.mark.parametrize("name", DeepBinaryClassifier().get_params())
def test_html_describes_every_parameter(name, html):
    assert re.search(rf'class="param-doc-description"[^>]*>\s*{name}: \S', html)


def test_links_name_text_that_is_on_the_page(links):
    # a browser looks for the words as they are written: one space between two
    assert [link for link in links if "%20%20" in link] == []


def test_html_tells_that_a_model_is_fitted(data):
    assert "Fitted" in estimator_html_repr(make_model().fit(*data))


def test_text_shows_what_was_changed():
    assert repr(DeepBinaryClassifier(alpha=3.0)) == "DeepBinaryClassifier(alpha=3.0)"


# ---------------------------------------------------------------------- tags


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("estimator_type", "classifier"),
        ("requires_fit", True),
        ("no_validation", False),
        ("non_deterministic", False),
        ("array_api_support", False),
        ("transformer_tags", None),
        ("regressor_tags", None),
        ("classifier_tags.multi_class", False),
        ("classifier_tags.multi_label", False),
        ("classifier_tags.poor_score", False),
        ("target_tags.required", True),
        ("target_tags.multi_output", False),
        ("target_tags.single_output", True),
        ("target_tags.positive_only", False),
        ("input_tags.sparse", True),
        ("input_tags.two_d_array", True),
        ("input_tags.one_d_array", False),
        ("input_tags.three_d_array", False),
        ("input_tags.categorical", False),
        ("input_tags.string", False),
        ("input_tags.dict", False),
        ("input_tags.positive_only", False),
        ("input_tags.allow_nan", False),
        ("input_tags.pairwise", False),
    ],
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_tag_is_true(path, expected, solver):
    found = get_tags(DeepBinaryClassifier(solver=solver))
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected


def test_estimator_knows_whether_it_is_fitted(data):
    model = make_model()
    assert (model.__sklearn_is_fitted__(), model.fit(*data).__sklearn_is_fitted__()) == (
        False,
        True,
    )


@pytest.mark.parametrize(("hidden", "n"), [((), 5), ((5,), 31), ((5, 3), 47)])
def test_number_of_parameters_is_told(hidden, n, data):
    assert make_model(hidden=hidden).fit(*data).n_parameters_ == n


def test_loss_that_rose_is_no_reason_to_raise_the_learning_rate():
    X = np.random.RandomState(0).standard_normal((60, 4))
    y = X[:, 0] <= 0
    model = make_model("gd", (6,), learning_rate_init=50, tol=1e-4, max_iter=3, activation="tanh")
    with pytest.warns(ConvergenceWarning, match="lower learning_rate_init"):
        model.set_params(random_state=0).fit(X * 100, y)


def test_verbose_counts_along_all_calls(data, capsys):
    model = make_model(verbose=3)
    for _ in range(7):
        model.partial_fit(*data, classes=[0, 1])
    numbers = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert numbers == ["Iteration 3", "Iteration 6"]
