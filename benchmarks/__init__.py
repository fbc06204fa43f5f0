"""Speed and memory of skdnn beside MLPClassifier, torch and a recipe in plain NumPy.

``python -m benchmarks`` makes the table, ``python -m benchmarks.growth`` the picture.
"""
