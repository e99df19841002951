"""Pages for people to look at: the report of a check in one file, and the server of `ilsvrc view`.

Templates, plots, thumbnails, requests. Nothing here finds anything out: the verbs and readers below do.
"""
