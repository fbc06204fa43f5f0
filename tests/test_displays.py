"""What the displays draw, by their artists, on light and on dark backgrounds."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skdnn.displays
from skdnn import DeepBinaryClassifier, DeepEnsembleClassifier
from skdnn.displays import (
    DeadUnitsDisplay,
    LayerStatisticsDisplay,
    LossCurveDisplay,
    MistakesDisplay,
    WeightImageDisplay,
)
from skdnn.inspection import activation_statistics, dead_units, gradient_statistics

plt = pytest.importorskip("matplotlib.pyplot")


def fit(X, y, hidden=(8, 4), **parameters):
    defaults = {"random_state": 0, "max_iter": 4, "tol": None}
    return DeepBinaryClassifier(hidden, **(defaults | parameters)).fit(X, y)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model(breast_cancer):
    return fit(*breast_cancer)


@pytest.fixture(scope="module")
def watched(breast_cancer):
    """Return a model with early stopping and a learning rate that changes."""
    return fit(*breast_cancer, early_stopping=True, learning_rate="cosine", max_iter=6)


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


# ---------------------------------------------------------------------- loss curve


def test_loss_curves_are_those_of_the_model(watched):
    display = LossCurveDisplay.from_estimator(watched)
    np.testing.assert_array_equal(display.line_.get_xdata(), np.arange(1, 7))
    np.testing.assert_array_equal(display.line_.get_ydata(), watched.loss_curve_)
    np.testing.assert_array_equal(
        display.validation_line_.get_ydata(), watched.validation_loss_curve_
    )
    np.testing.assert_array_equal(
        display.learning_rate_line_.get_ydata(), watched.learning_rate_curve_
    )
    assert display.learning_rate_line_.axes is display.learning_rate_ax_ is not display.ax_
    assert display.learning_rate_ax_.get_ylabel() == "learning rate"
    assert display.learning_rate_ax_.get_ylim()[0] == 0
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss")


def test_best_epoch_is_marked_and_named(watched):
    display = LossCurveDisplay.from_estimator(watched)
    best = watched.best_iter_
    assert display.best_.get_xdata().tolist() == [best]
    assert display.best_.get_ydata().tolist() == [watched.validation_loss_curve_[best - 1]]
    assert labels_of(display.legend_) == [
        "training loss",
        "validation loss",
        f"best epoch ({best})",
        "learning rate",
    ]


def test_ring_is_where_the_best_epoch_is():
    curves = {"validation_loss_curve": [4, 2, 3], "best_iter": 2}
    display = LossCurveDisplay([9, 8, 7, 6, 5], **curves).plot()
    assert display.best_.get_xydata().tolist() == [[4, 2]]


def test_constant_learning_rate_is_drawn_on_demand(model):
    assert LossCurveDisplay.from_estimator(model).learning_rate_ax_ is None
    display = LossCurveDisplay.from_estimator(model, show_learning_rate=True)
    assert display.learning_rate_line_.get_ydata().tolist() == [0.001] * 4


def test_changing_learning_rate_can_be_left_out(watched):
    display = LossCurveDisplay.from_estimator(watched, show_learning_rate=False)
    assert display.learning_rate_line_ is None
    assert len(display.figure_.axes) == 1


def test_curves_go_on_over_several_calls(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, warm_start=True)
    model.set_params(early_stopping=True, max_iter=3).fit(X, y)
    display = LossCurveDisplay.from_estimator(model)
    assert display.line_.get_xdata().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert display.validation_line_.get_xdata().tolist() == [5, 6, 7]
    assert display.best_.get_xdata().tolist() == [4 + model.best_iter_]


def test_single_epoch_is_a_point(breast_cancer):
    model = DeepBinaryClassifier((2,)).partial_fit(*breast_cancer, classes=[0, 1])
    assert LossCurveDisplay.from_estimator(model).line_.get_marker() == "."


def test_lbfgs_has_no_learning_rate(breast_cancer):
    model = fit(*breast_cancer, solver="lbfgs")
    display = LossCurveDisplay.from_estimator(model, show_learning_rate=True)
    assert display.learning_rate_line_ is None


def test_lbfgs_counts_iterations(breast_cancer, model):
    lbfgs = fit(*breast_cancer, solver="lbfgs")
    display = LossCurveDisplay.from_estimator(lbfgs)
    assert display.ax_.get_xlabel() == "iteration"
    again = LossCurveDisplay.from_estimator(lbfgs, ax=display.ax_)
    assert again.ax_.get_xlabel() == "iteration"
    both = LossCurveDisplay.from_estimator(model, ax=display.ax_)
    assert both.ax_.get_xlabel() == "epoch or iteration"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss_curve": []}, r"loss_curve must be a sequence of at least one number, got \[\]"),
        ({"loss_curve": None}, "loss_curve must be a sequence.*got None"),
        ({"loss_curve": "abc"}, "loss_curve must be a sequence.*got 'abc'"),
        ({"loss_curve": [[1, 2]]}, "loss_curve must be a sequence"),
        ({"validation_loss_curve": [3, 2, 1]}, "must not be longer than.*got 3 and 2 numbers"),
        ({"validation_loss_curve": ["a"]}, r"validation_loss_curve must be .*got \['a'\]"),
        ({"validation_loss_curve": [2], "best_iter": 2}, "best_iter must.*1 numbers, got 2"),
        ({"best_iter": 1}, "best_iter must.*0 numbers, got 1"),
        ({"learning_rate_curve": [1]}, "learning_rate_curve must be as long.*got 1 and 2"),
    ],
)
def test_curves_that_do_not_suit_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        LossCurveDisplay(**({"loss_curve": [2, 1]} | arguments))


def test_models_on_the_same_axes_have_names_and_colours_of_their_own(watched, model):
    first = LossCurveDisplay.from_estimator(watched, name="cosine")
    second = LossCurveDisplay.from_estimator(
        model, name="constant", show_learning_rate=True, ax=first.ax_
    )
    assert second.ax_ is first.ax_
    assert second.learning_rate_ax_ is first.learning_rate_ax_
    assert first.line_.get_color() == first.validation_line_.get_color()
    assert first.line_.get_linestyle() != first.validation_line_.get_linestyle()
    assert first.line_.get_color() != second.line_.get_color()
    assert len(second.figure_.legends) == 1
    assert labels_of(second.legend_)[-3:] == [
        "constant: training loss",
        "cosine: learning rate",
        "constant: learning rate",
    ]


def test_line_keywords_reach_the_losses(watched):
    display = LossCurveDisplay.from_estimator(watched, line_kw={"linewidth": 5, "color": "gray"})
    assert display.line_.get_linewidth() == display.validation_line_.get_linewidth() == 5
    assert display.line_.get_color() == "gray"


def test_ensemble_shows_the_curves_of_all_its_networks(breast_cancer):
    X, y = breast_cancer
    network = DeepBinaryClassifier((4,), learning_rate_init=0.01, max_iter=4, tol=None)
    ensemble = DeepEnsembleClassifier(network, n_estimators=8, random_state=0).fit(X, y)
    display = LossCurveDisplay.from_estimator(make_pipeline(ensemble), name="all")
    assert len(display.line_) == len(display.best_) == 8
    for line, validation, member in zip(
        display.line_, display.validation_line_, ensemble.estimators_, strict=True
    ):
        np.testing.assert_array_equal(line.get_ydata(), member.loss_curve_)
        np.testing.assert_array_equal(validation.get_ydata(), member.validation_loss_curve_)
    assert display.line_[0].get_color() != display.line_[1].get_color()  # bins, and none
    assert display.line_[0].get_color() == display.line_[2].get_color()
    assert labels_of(display.legend_) == [
        f"all: training loss, {ensemble.encoders_[0].n_outputs_} inputs and [4] units",
        "all: validation loss",
        "all: best epoch",
        f"all: training loss, {ensemble.encoders_[1].n_outputs_} inputs and [4] units",
    ]


def test_ensemble_that_is_not_fitted_has_no_curves():
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(DeepEnsembleClassifier())


# ---------------------------------------------------------------------- dead units


def test_points_are_the_shares_in_order(model, breast_cancer):
    X, _ = breast_cancer
    display = DeadUnitsDisplay.from_estimator(model, X)
    for share, points in zip(dead_units(model, X).shares, display.points_, strict=True):
        np.testing.assert_array_equal(points.get_ydata(), np.sort(share[share > 0]))


def test_dead_units_are_marked_and_counted():
    display = DeadUnitsDisplay([np.array([0.001, 0, 1, 0]), np.array([0.2, 0.1])]).plot()
    assert [line.get_ydata().tolist() for line in display.dead_points_] == [[0, 0], []]
    assert display.dead_points_[0].get_marker() != display.points_[0].get_marker()
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == [
        "1\n2 / 4",
        "2\n0 / 2",
    ]
    assert labels_of(display.legend_) == ["active units", "dead: 2 of 6 units"]


def test_units_are_dead_below_the_threshold(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y, activation="logistic")
    display = DeadUnitsDisplay.from_estimator(model, X, threshold=0.2)
    for share, found in zip(
        dead_units(model, X, threshold=0.2).shares, display.shares, strict=True
    ):
        np.testing.assert_array_equal(found, share)
    assert any((share < 1).any() for share in display.shares)


def test_units_of_a_layer_stay_in_its_place(model, breast_cancer):
    display = DeadUnitsDisplay.from_estimator(model, breast_cancer[0])
    for layer, points in enumerate(display.points_, start=1):
        assert (np.abs(points.get_xdata() - layer) < 0.5).all()


def test_network_without_hidden_layers_cannot_be_drawn(breast_cancer):
    X, y = breast_cancer
    with pytest.raises(ValueError, match="no hidden layers"):
        DeadUnitsDisplay.from_estimator(fit(X, y, hidden=()), X)


# ---------------------------------------------------------------------- layer statistics


def test_lines_are_the_medians_and_the_zeros(model, breast_cancer):
    X, y = breast_cancer
    weight = np.linspace(0, 2, len(y))
    display = LayerStatisticsDisplay.from_estimator(model, X, y, sample_weight=weight)
    activations = activation_statistics(model, X)
    gradients = gradient_statistics(model, X, y, weight)
    (lines,) = display.lines_.values()
    expected = [activations.median, gradients.median, activations.zeros]
    for line, panel, column in zip(lines, display.axes_, expected, strict=True):
        assert line.axes is panel
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), column)
    assert [panel.get_yscale() for panel in display.axes_] == ["log", "log", "linear"]


def test_bands_reach_from_the_lowest_to_the_highest_twentieth(model, breast_cancer):
    X, y = breast_cancer
    display = LayerStatisticsDisplay.from_estimator(model, X, y)
    ((band, _),) = display.bands_.values()
    heights = band.get_paths()[0].vertices[:, 1]
    statistics = activation_statistics(model, X)
    assert heights.min() == statistics.low.min()
    assert heights.max() == statistics.high.max()


def test_without_labels_there_are_no_gradients(model, breast_cancer):
    display = LayerStatisticsDisplay.from_estimator(model, breast_cancer[0])
    assert [panel.get_ylabel() for panel in display.axes_] == ["|activations|", "zeros"]


def test_several_models_are_told_apart(breast_cancer):
    X, y = breast_cancer
    models = {"he": fit(X, y), "deeper": fit(X, y, hidden=(6, 5, 4))}
    display = LayerStatisticsDisplay.from_estimators(models, X, y)
    assert labels_of(display.legend_) == ["he", "deeper", "5 to 95 %"]
    he, deeper = (lines[0] for lines in display.lines_.values())
    assert (he.get_xdata().size, deeper.get_xdata().size) == (3, 4)
    assert he.get_color() != deeper.get_color()
    assert he.get_linestyle() != deeper.get_linestyle()


def test_layers_that_are_all_zero_leave_a_gap(breast_cancer):
    X, y = breast_cancer
    model = fit(X, y)
    model.intercepts_[1][...] = -1e6
    display = LayerStatisticsDisplay.from_estimator(model, X)
    assert np.isnan(display.lines_[""][0].get_ydata()[1])
    assert display.lines_[""][-1].get_ydata()[1] == 1


def test_error_names_the_one_of_several_that_is_no_network(model, breast_cancer):
    with pytest.raises(TypeError, match=r"^estimators\['other'\] must be"):
        LayerStatisticsDisplay.from_estimators({"he": model, "other": 3}, *breast_cancer)


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [({}, ValueError, "at least one model"), ([1], TypeError, "must be a dict.*got list")],
)
def test_estimators_must_be_a_dict_of_models(estimators, error, message, breast_cancer):
    with pytest.raises(error, match=message):
        LayerStatisticsDisplay.from_estimators(estimators, *breast_cancer)


# ---------------------------------------------------------------------- weights


def test_images_are_the_weights_of_the_largest_units(model):
    weights = model.coefs_[0]
    display = WeightImageDisplay.from_estimator(model, image_shape=(5, 6), n_units=3)
    units = np.argsort(-np.linalg.norm(weights, axis=0))[:3]
    assert [panel.get_title() for panel in display.axes_] == [f"unit {unit}" for unit in units]
    for image, unit in zip(display.images_, units, strict=True):
        np.testing.assert_array_equal(image.get_array(), weights[:, unit].reshape(5, 6))


def test_zero_is_the_middle_of_the_one_scale(model):
    display = WeightImageDisplay.from_estimator(model, image_shape=(5, 6))
    limits = {image.get_clim() for image in display.images_}
    ((lowest, highest),) = limits
    assert lowest == -highest
    assert display.colorbar_.ax.get_ylabel() == "weight"


def test_scale_ends_where_nearly_all_weights_do():
    display = WeightImageDisplay(np.arange(-200.0, 1)[:, None], image_shape=(3, 67)).plot()
    assert display.images_[0].get_clim() == pytest.approx((-199, 199))


def test_three_channels_are_colours_around_grey():
    weights = np.zeros((12, 2))
    weights[0, 0], weights[4, 1], weights[8, 1] = 1, -1, 0.5
    display = WeightImageDisplay(weights, image_shape=(2, 2, 3)).plot()
    first, second = (np.asarray(image.get_array()) for image in display.images_)
    assert first[0, 0].tolist() == [1, 0.5, 0.5]
    assert second[0, 1].tolist() == [0.5, 0, 0.5]
    assert second[1, 0].tolist() == [0.5, 0.5, 0.75]
    assert display.colorbar_ is None


def test_single_channel_is_an_image_without_colours(model):
    display = WeightImageDisplay.from_estimator(model, image_shape=(5, 6, 1))
    assert display.images_[0].get_array().shape == (5, 6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 5), r"image_shape=\(5, 5\) makes 25 numbers of an image, but there are 30 features"),
        ((30,), "image_shape must be"),
        ((5, 3, 2), "1 or 3 channels"),
        ((-5, -6), "image_shape must be"),
        (None, "image_shape must be"),
    ],
)
def test_image_shapes_that_do_not_fit_are_errors(shape, message, mistaken):
    model, X, y = mistaken
    with pytest.raises(ValueError, match=message):
        WeightImageDisplay.from_estimator(model, image_shape=shape)
    if shape is not None:
        with pytest.raises(ValueError, match=message):
            MistakesDisplay.from_estimator(model, X, y, image_shape=shape)


@pytest.mark.parametrize("n_units", [0, 1.5])
def test_number_of_units_must_be_positive(n_units, model):
    with pytest.raises(ValueError, match="n_units must be an integer of at least 1"):
        WeightImageDisplay.from_estimator(model, image_shape=(5, 6), n_units=n_units)


# ---------------------------------------------------------------------- all of them


DISPLAYS = {
    "LossCurveDisplay": lambda m, X, y, **o: LossCurveDisplay.from_estimator(m, **o),
    "DeadUnitsDisplay": lambda m, X, y, **o: DeadUnitsDisplay.from_estimator(m, X, **o),
    "LayerStatisticsDisplay": lambda m, X, y, **o: LayerStatisticsDisplay.from_estimator(
        m, X, y, **o
    ),
    "WeightImageDisplay": lambda m, X, y, **o: WeightImageDisplay.from_estimator(
        m, image_shape=(5, 6), **o
    ),
    "MistakesDisplay": lambda m, X, y, **o: MistakesDisplay.from_estimator(
        m, X, y, image_shape=(5, 2, 3), **o
    ),
    "MistakesDisplay of rows": lambda m, X, y, **o: MistakesDisplay.from_estimator(m, X, y, **o),
}
EVERY_DISPLAY = pytest.mark.parametrize("draw", DISPLAYS.values(), ids=DISPLAYS)


@pytest.fixture(scope="module")
def subject(watched, breast_cancer):
    """Return a model, rows, and labels, of which one in ten is wrong."""
    X, y = breast_cancer
    return watched, X, y ^ (np.arange(y.size) % 10 == 0)


def texts_of(figure):
    """Return all texts that are seen, legends, ticks and titles among them."""
    found = figure.findobj(lambda artist: isinstance(artist, plt.Text))
    shown = [t for t in found if t.get_visible() and t.get_text().strip()]
    figure.draw_without_rendering()
    return [t for t in shown if t.get_window_extent().width > 0]


@EVERY_DISPLAY
def test_no_text_overlaps_another_at_600_pixels(draw, subject):
    with plt.rc_context({"figure.figsize": (6, 4), "figure.dpi": 100}):
        figure = draw(*subject).figure_
        assert figure.get_figwidth() * figure.dpi == 600
        texts = texts_of(figure)
    drawn = [
        text
        for text in texts
        # matplotlib keeps ticks beyond the limits, and does not draw them
        if not any(
            text in axis.get_ticklabels() and not _is_within(axis, text)
            for ax in figure.axes
            for axis in (ax.xaxis, ax.yaxis)
        )
    ]
    assert len(drawn) > 3
    for one, other in combinations(drawn, 2):
        a, b = one.get_window_extent(), other.get_window_extent()
        assert not a.overlaps(b), (one, other)
    for text in drawn:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= 601


def _is_within(axis, text):
    low, high = sorted(axis.get_view_interval())
    place = text.get_position()[0 if axis.axis_name == "x" else 1]
    return low <= place <= high


@EVERY_DISPLAY
def test_texts_and_frames_take_the_colours_of_a_dark_style(draw, subject):
    from matplotlib.colors import to_rgb

    with plt.style.context("dark_background"):
        figure = draw(*subject).figure_
        texts = texts_of(figure)
        assert {to_rgb(text.get_color()) for text in texts} == {(1.0, 1.0, 1.0)}
        frames = {to_rgb(s.get_edgecolor()) for ax in figure.axes for s in ax.spines.values()}
    assert (0.0, 0.0, 0.0) not in frames


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_colours_stand_out_from_the_background(style):
    """The first three reach the contrast of 3 that WCAG 2.1 asks of graphics, the rest 2."""
    from matplotlib.colors import to_rgb

    from skdnn.displays.drawing import palette

    def luminance(colour):
        channels = np.asarray(to_rgb(colour))
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return linear @ [0.2126, 0.7152, 0.0722]

    with plt.style.context(style):
        ground = luminance(plt.rcParams["axes.facecolor"])
        contrasts = [
            (max(luminance(c), ground) + 0.05) / (min(luminance(c), ground) + 0.05)
            for c in palette()
        ]
    assert min(contrasts[:3]) > 3
    assert min(contrasts) > 2


@EVERY_DISPLAY
def test_given_axes_are_drawn_on(draw, subject):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    display = draw(*subject, ax=right)
    assert display.figure_ is figure
    assert display.ax_ is right
    assert not left.has_data()
    assert plt.get_fignums() == [figure.number]


@EVERY_DISPLAY
def test_axes_at_a_place_of_their_own_are_drawn_on(draw, subject):
    figure = plt.figure(figsize=(10, 8))
    ax = figure.add_axes((0.5, 0.1, 0.4, 0.8))
    display = draw(*subject, ax=ax)
    figure.draw_without_rendering()
    assert display.figure_ is figure
    panels = np.ravel(getattr(display, "axes_", display.ax_))
    assert min(panel.get_position().x0 for panel in panels) > 0.45


@pytest.mark.parametrize(
    "name", ["LayerStatisticsDisplay", "WeightImageDisplay", "MistakesDisplay"]
)
def test_axes_that_hold_panels_are_refused(name, subject):
    display = DISPLAYS[name](*subject)
    with pytest.raises(ValueError, match="ax holds the panels of a display already"):
        display.plot(ax=display.ax_)


@EVERY_DISPLAY
def test_things_that_are_no_axes_are_errors(draw, subject):
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got int"):
        draw(*subject, ax=3)


@pytest.mark.parametrize("name", ["WeightImageDisplay", "MistakesDisplay"])
def test_titles_of_images_do_not_meet_images_above_without_a_layout(name, subject):
    figure, axes = plt.subplots(2, 3, figsize=(12, 8))
    display = DISPLAYS[name](*subject, ax=axes[1, 1])
    figure.draw_without_rendering()
    titles = [panel.title.get_window_extent() for panel in display.axes_]
    images = [panel.get_window_extent() for panel in display.axes_]
    assert len(images) > 3
    for title in [*titles, display.ax_.title.get_window_extent()]:
        assert not any(title.overlaps(image) for image in images)
    for one, other in combinations(titles, 2):
        assert not one.overlaps(other)


def test_texts_of_mistakes_stay_inside_a_narrow_cell(subject):
    model, X, y = subject
    names = np.array(["malignant", "benign"])
    figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="constrained")
    display = MistakesDisplay.from_predictions(
        names[y], model.predict_proba(X)[:, ::-1], X, pos_label="benign", ax=axes[1, 2]
    )
    figure.draw_without_rendering()
    for text in [*display.headings_, display.ax_.xaxis.label]:
        assert text.get_window_extent().x1 <= 1200
    for heading in display.headings_:
        assert heading.get_window_extent().x1 <= display.ax_.get_window_extent().x1


@EVERY_DISPLAY
def test_display_can_be_drawn_again(draw, subject):
    display = draw(*subject)
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first


@EVERY_DISPLAY
def test_pipelines_are_drawn_by_their_last_step(draw, breast_cancer):
    X, y = breast_cancer
    pipeline = make_pipeline(
        StandardScaler(), DeepBinaryClassifier((3,), max_iter=2, tol=None, random_state=0)
    ).fit(X, y)
    assert draw(pipeline, X, y).figure_ is not None


@EVERY_DISPLAY
def test_other_estimators_are_named_in_the_error(draw, breast_cancer):
    X, y = breast_cancer
    with pytest.raises(TypeError, match=r"^estimator must be .* got LogisticRegression"):
        draw(LogisticRegression(max_iter=1000).fit(X, y), X, y)


@EVERY_DISPLAY
def test_missing_matplotlib_is_an_error_that_names_the_extra(draw, subject, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display\.from_estimators? needs.*the extra 'plot'"):
        draw(*subject)


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import skdnn.displays, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_displays_are_tested():
    assert {name.split()[0] for name in DISPLAYS} == set(skdnn.displays.__all__)
