"""Reading sources into patches: slides, folders of images by class, and PatchCamelyon's HDF5 files."""
