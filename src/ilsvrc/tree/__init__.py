"""What lies in a prepared tree: layouts, manifests, names, counts.

It is only looked at here; `sinks` write it.
"""
