"""One image: inspect its bytes, decode it to pixels, make its file anew.

Nothing here knows of archives, trees or labels.
"""
