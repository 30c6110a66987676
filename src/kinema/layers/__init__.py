"""Tensors in, tensors out: the parts networks are made of.

Knows nothing of files, configs or names.
"""
