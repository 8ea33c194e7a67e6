"""The live views: one reader a process, one channel a thing that is watched, one cursor a viewer."""
