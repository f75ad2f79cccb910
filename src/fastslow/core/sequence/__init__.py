"""Eqs. 2-7 over a whole sequence, forward and backward written out for speed."""
