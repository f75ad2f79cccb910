"""Handwritten-like characters, made up."""
