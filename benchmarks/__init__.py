"""Long runs that measure the service, or shake it from outside."""
