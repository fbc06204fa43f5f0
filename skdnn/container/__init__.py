"""Files that prove themselves whole before anything in them is believed."""
