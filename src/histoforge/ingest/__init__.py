"""Read sources into patches: slides, folders of images by class, tables, and PatchCamelyon's HDF5 files."""
