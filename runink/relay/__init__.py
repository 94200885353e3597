"""The relay: a process beside a node's agent that carries the edges of network gangs from node to node."""
