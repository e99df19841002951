"""Mechanism without policy: plan, loop, engine, journal, proof.

Nothing here knows what a user asked for, nor what a tree looks like.
"""
