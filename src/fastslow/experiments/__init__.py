"""One file a table or figure: options, data, model, loop, results."""
