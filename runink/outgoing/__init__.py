"""The cluster's own outgoing calls: HTTP to providers of identity and, later, to webhooks. Nothing that a slice asks goes this way."""
