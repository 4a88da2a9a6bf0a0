"""Trained, masked models compiled into ones that skip the zeros."""

import pyg_stgcn.runtime.native
