"""What measures, trains, evaluates, imports and discovers; it stands on the core, which never imports it."""
