"""Labels: look up classes, read, verify and rewrite label files, find the mapping of a model's predictions.

Nothing here knows of archives or of prepared trees: with `facts` the folder could be a package of its own.
"""
