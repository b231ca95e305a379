"""Records sample_pcaps/: real traffic of this machine's kernel, impaired by a relay between two network namespaces."""
