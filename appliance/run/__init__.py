"""The roof: the only code that knows every room. Command line, wiring, one module per process."""
