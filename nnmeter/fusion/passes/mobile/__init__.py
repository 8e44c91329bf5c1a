"""What runtimes of phones and accelerators do to a graph."""
