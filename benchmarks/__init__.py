"""Speed and memory of skdnn beside MLPClassifier, torch and the article's plain NumPy.

``python -m benchmarks`` makes the table, ``python -m benchmarks.growth`` the picture.
"""
