"""What lies in a prepared tree: layouts, manifests, names, counts.

No image is opened or written here: `readers` and `sinks` do that.
"""
