"""Callbacks that scikit-learn lacks."""
