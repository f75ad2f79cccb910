"""Results as tables, pictures and a page. Reads, never trains."""
