"""Studies: many runs and one result, such as sweeps, lottery tickets and assemblies."""
