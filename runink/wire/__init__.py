"""Messages between processes and machines: frames of MessagePack, decoded under limits. Importing it loads nothing."""
