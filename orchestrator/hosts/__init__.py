"""Hosts on one Linux machine: network namespaces, with names and addresses of their own, joined by cables."""
