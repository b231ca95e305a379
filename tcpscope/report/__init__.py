"""Reports: pure functions of one model. Nothing here opens a file, prints, or asks for the time or the terminal."""
