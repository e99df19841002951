"""The data set for Python programs, read in place: it fits torch, torchvision, fsspec and notebooks.

Finding and reading bytes belongs in a `Reader` of `ilsvrc.readers`, and decoding them in `ilsvrc.images`, not here.
"""
