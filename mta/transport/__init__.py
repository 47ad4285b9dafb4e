"""How a message leaves: routes, MX, connections, one transaction."""
