"""Servers for the tests: finding those of the machine, running private ones, and a cable to cut between them.

Standard library only, apart from the client libraries that log in (imported inside functions), and never
`sav`: `tests.run` uses this package before anything of the service can be trusted.
"""
