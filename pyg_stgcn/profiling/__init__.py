"""Profiles of models: parameters, multiply-accumulates, latency and memory, backends compared."""
