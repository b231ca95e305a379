def populate() -> bool:
    """Let the memory of Python's objects come from the kernel in whole arenas. False where the system has no way to do so."""
