"""
========================================
Text: TF-IDF, sparse, and the word "not"
========================================

Text becomes a sparse matrix of word weights, which the network takes as it is and never makes
dense. Short restaurant reviews, written out by this script, show what a hidden layer adds to a
bag of words: it understands "not".
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from skdnn import DeepBinaryClassifier

plt.style.use("seaborn-v0_8-colorblind")

# %%
# A corpus
# --------
# Every review has one opinion, said plainly or by denying the opposite, and some words that mean
# nothing.

GOOD = ["good", "tasty", "friendly", "fresh", "quick", "lovely"]
BAD = ["bad", "bland", "rude", "stale", "slow", "awful"]
THINGS = ["soup", "service", "pasta", "waiter", "dessert", "place", "fish", "bread"]
OPENINGS = ["", "we came on a tuesday.", "my sister had her birthday.", "it was our second visit."]
ENDINGS = ["", "the street is busy.", "they take cards.", "we sat outside.", "it rained."]


def write_review(rng):
    happy, denied = rng.random() < 0.5, rng.random() < 0.4
    adjective = rng.choice(GOOD if happy != denied else BAD)
    claim = f"the {rng.choice(THINGS)} was {'not ' if denied else ''}{adjective}."
    return f"{rng.choice(OPENINGS)} {claim} {rng.choice(ENDINGS)}".strip(), happy


rng = np.random.default_rng(0)
pairs = [write_review(rng) for _ in range(2000)]
reviews, happy = [text for text, _ in pairs], np.array([label for _, label in pairs])
for text, label in pairs[:5]:
    print(f"{'happy' if label else 'unhappy':>7}: {text}")
train, test, y_train, y_test = train_test_split(reviews, happy, random_state=0)

# %%
# Words, pairs of words, and two models
# -------------------------------------
# In a bag of words, "not" turns the meaning of another word round. That is an XOR: no sum of
# weights, one for each word, expresses it. Pairs of words ("not good") make it linear, at the
# price of many more columns; a hidden layer finds it in the words alone.


def make_model(classifier, longest):
    return make_pipeline(TfidfVectorizer(ngram_range=(1, longest)), classifier)


classifiers = {
    "linear": LogisticRegression(C=10),
    "network": DeepBinaryClassifier(
        (16,), learning_rate_init=0.01, max_iter=30, tol=None, random_state=0
    ),
}
models = {}
for longest in (1, 2):
    for name, classifier in classifiers.items():
        model = make_model(clone(classifier), longest).fit(train, y_train)
        models[name, longest] = model
        columns = model[0].transform(test)
        density = columns.nnz / np.prod(columns.shape)
        print(
            f"{name:7} on {'words' if longest == 1 else 'words and pairs':15}: "
            f"{columns.shape[1]:4} columns, {density:.1%} not 0; "
            f"test accuracy {model.score(test, y_test):.3f}"
        )

# %%
# What a phrase does
# ------------------
# The logit that each model on single words gives to a phrase: to the right, happy. The linear
# model moves every phrase by much the same step when "not" is added; the network turns it round.

phrases = [
    f"the soup was {deny}{word}"
    for word in ("good", "lovely", "bad", "awful")
    for deny in ("", "not ")
]
positions = np.arange(len(phrases))
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for offset, name in ((-0.2, "linear"), (0.2, "network")):
    logits = models[name, 1].decision_function(phrases)
    axes.barh(positions + offset, logits, 0.4, label=name)
axes.set_yticks(positions, phrases)
axes.invert_yaxis()
axes.axvline(0, color="0.3", lw=0.8)
axes.set(xlabel="logit of a happy review", title='Adding "not", models on single words')
axes.grid(axis="x", alpha=0.3)
axes.legend()
plt.show()

logits = models["network", 1].decision_function(phrases)
