// Holds the shared precompiled header.
