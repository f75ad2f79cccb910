"""Tracks of road users: one table, however they are stored; a reader a format."""
