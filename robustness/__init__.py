"""Faults made on purpose: killed processes, damaged and forged files, signals, forks.

``python -m robustness`` runs them all and prints what came of them. What the tests run is a part
of this, by the same scripts.
"""
