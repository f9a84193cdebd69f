"""Study kinds, one folder each: settings, result variables, units of work, report."""
