"""The verbs that measure, train, evaluate and import: one thin command a module."""
