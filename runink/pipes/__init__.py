# ruff: noqa: A005 - the standard library's `pipes` is gone from Python 3.13 on, and nobody here means it
