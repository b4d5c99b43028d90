"""The `vdd` command; each subcommand is a module, imported when it is called."""
