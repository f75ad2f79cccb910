"""One file a figure: an object that draws itself, `plot(path)`, and gives its data as columns, `frame()`."""
