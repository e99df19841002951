"""Hubs with a client library of their own: it signs in and gives addresses, our transfer fetches the files.

A module per hub turns a request into `HubFile` values; `files` fetches these. No client transfers files itself.
"""
