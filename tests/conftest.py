from hypothesis import settings

pytest_plugins = ["tests.plugins.outcomes", "tests.plugins.servers", "tests.plugins.desk"]

# No test is timed: on a busy machine any example may take its while.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
