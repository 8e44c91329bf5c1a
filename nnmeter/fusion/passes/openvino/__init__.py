"""What OpenVINO's CPU plugin does to a graph."""
