"""Long runs that measure or shake the service from outside; none of them imports `sav`."""
