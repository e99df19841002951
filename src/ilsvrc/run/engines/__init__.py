"""Engines by their address: worker processes, a Dask or Ray cluster, the ranks of an MPI job.

The adapters are thin: retries, scheduling and spilling are the cluster's. A cluster's library is imported by its own
module alone, when a user names the cluster.
"""
