"""Stan: the toolchain, compiling and sampling."""
