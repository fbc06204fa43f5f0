"""Vectors and threads: what arithmetic stands on."""
