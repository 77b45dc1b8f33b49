pytest_plugins = ["tests.plugins.outcomes", "tests.plugins.servers", "tests.plugins.desk"]
