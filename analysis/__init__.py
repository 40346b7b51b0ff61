"""The analysis: demonstration data, the same question asked in several ways, and a report of what was measured.

`python -m analysis` (or `make analysis`) runs all of it on a cluster that is up. Declares nothing and changes no stack.
"""
