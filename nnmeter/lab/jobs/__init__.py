"""Files that have a batch system measure the shards of a campaign, one system a module."""
