"""From folders and archives in the BAPPS layout to packed splits."""
