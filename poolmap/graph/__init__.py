"""Adjacency graphs of areas."""
