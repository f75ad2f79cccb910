"""One file a study: its cells, how one is run, and the page of its results."""
