"""Displays of networks, in scikit-learn's convention."""
