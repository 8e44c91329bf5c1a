"""Budgets of a repository: what its models may take, and whether they do."""
