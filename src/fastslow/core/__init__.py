"""The paper's section 3: tensors in, tensors out. Nothing here knows of data, tasks or files."""
