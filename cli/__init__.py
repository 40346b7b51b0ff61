"""The commands behind `make`: the one program, run through Pulumi's Automation API, which needs no language host."""
