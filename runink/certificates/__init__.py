"""Certificates of nodes: who they say somebody is, who makes them, how one comes by the first, keeps it fresh and loses it.

    names          who a certificate says its holder is
    pins           authorities by their fingerprints, and bundles of them
    authority      the cluster's own authority: made once, issues what others ask for
    join_tokens    the word that lets one node in, once
    renewal        the record of a node's certificates: renewed, locked, revoked, let in again
    rotation       another authority takes the place of the first, and nobody is cut off

All of it is pure: `now_s` (seconds of the Unix epoch), keys, random bytes and serial numbers are arguments.
"""
