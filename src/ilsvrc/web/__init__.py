"""Pages for people to look at: the report of a check in one file; view/ serves a data set.

Templates, plots, thumbnails. Nothing here finds anything out: the verbs and readers below do.
"""
