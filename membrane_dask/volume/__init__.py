"""The only users of chunked volumes: images in, OME-Zarr out."""
