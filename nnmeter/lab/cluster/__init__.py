"""Campaigns on the devices of a Dask cluster: planned and written in one place, measured wherever a device is."""
