// Nothing: CMake wants a source where headers are precompiled.
