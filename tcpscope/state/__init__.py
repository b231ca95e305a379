"""What happened on each connection: sequence numbers, states, loss, windows, TLS order, as facts without words."""
