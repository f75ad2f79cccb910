"""Methods that the memory network is measured against, each in a file of its own."""
