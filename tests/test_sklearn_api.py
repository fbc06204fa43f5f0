"""The estimator inside scikit-learn: its own checks, and its tools on its bundled data."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from skdnn import DeepBinaryClassifier

# A random split, or batches smaller than the data, make "weight 2 is the row twice" impossible.
WEIGHTS_DO_NOT_REPEAT = {
    f"check_sample_weight_equivalence_on_{kind}_data": reason
    for kind in ("dense", "sparse")
    for reason in ["rows are drawn at random one by one, whatever their weight"]
}

FULL_BATCH = [
    DeepBinaryClassifier(),
    DeepBinaryClassifier(solver="sgd", learning_rate_init=0.1),
    DeepBinaryClassifier(solver="gd", learning_rate_init=0.5),
    DeepBinaryClassifier(solver="lbfgs"),
    DeepBinaryClassifier((), learning_rate_init=0.02),
    DeepBinaryClassifier((5,), solver="sgd", learning_rate_init=0.1, activation="tanh"),
    DeepBinaryClassifier((4, 3, 2), solver="gd", learning_rate_init=0.5, activation="elu"),
    DeepBinaryClassifier((4, 3, 2), learning_rate_init=0.02, activation="gelu"),
    DeepBinaryClassifier((5,), solver="lbfgs", activation="logistic"),
    DeepBinaryClassifier((5,), learning_rate_init=0.02, activation="leaky_relu", init="xavier"),
    DeepBinaryClassifier(
        (5,), solver="sgd", learning_rate_init=0.1, activation="silu", learning_rate="adaptive"
    ),
]
RANDOM_ROWS = [
    DeepBinaryClassifier(early_stopping=True),
    DeepBinaryClassifier((5,), learning_rate_init=0.02, batch_size=8),
    DeepBinaryClassifier((), solver="lbfgs", early_stopping=True),
]


@parametrize_with_checks(FULL_BATCH)
def test_scikit_learn_checks_of_full_batches(estimator, check):
    check(estimator)


@parametrize_with_checks(RANDOM_ROWS, expected_failed_checks=lambda e: WEIGHTS_DO_NOT_REPEAT)
def test_scikit_learn_checks_of_random_rows(estimator, check):
    check(estimator)
