"""Tests without any server: pure functions, the SQL grammar, and the program on Pulumi's mocks."""
