"""One image: look at it, decode it.

Nothing here knows of archives, trees or labels.
"""
