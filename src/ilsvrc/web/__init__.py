"""Pages for people to look at: the report of a check, in one file.

Templates, plots and thumbnails. Nothing here finds anything out: the verbs below do.
"""
