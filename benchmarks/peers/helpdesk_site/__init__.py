"""A Django site with django-helpdesk; runs in the environment of `benchmarks.peers.django_helpdesk`."""

import pymysql

# Django asks for mysqlclient by version; the driver is the one that the service has.
pymysql.version_info = (2, 2, 4, "final", 0)  # type: ignore[assignment]
pymysql.install_as_MySQLdb()
