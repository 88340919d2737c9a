"""Holdfast: retention campaigns as code."""
