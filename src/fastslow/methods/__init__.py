"""What is measured and used: each method is one file, registered in `METHODS`."""
