"""Image data sets, a file each."""
