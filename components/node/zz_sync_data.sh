# Sourced once, when the data folder has just been made. initdb was told not to wait for the disk (it would for each of
# its files); this flushes the whole file system instead, while the server goes on.
sync -f "$PGDATA" &
