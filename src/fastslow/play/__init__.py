"""A page to play with: teach a memory characters by drawing, in the browser."""
