# Sourced once, when the data folder has just been made: initdb was told not to wait for the disk. Its files are flushed now,
# while the server goes on.
initdb --sync-only -D "$PGDATA" >/dev/null &
# Some versions of the entry point leave it to the server, which would show it to other nodes before what the passfile has.
unset PGPASSWORD
