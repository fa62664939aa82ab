"""Packing folders and archives in the BAPPS layout."""
