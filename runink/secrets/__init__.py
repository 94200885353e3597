"""Secrets at rest: sealed with a key that lies elsewhere."""  # noqa: A005 - only beneath runink, where nobody means the other one
