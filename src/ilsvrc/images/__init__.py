"""One image: inspect its bytes, decode it to pixels.

Nothing here knows of archives, trees or labels.
"""
