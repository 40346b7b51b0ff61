# Run once in a container of an image before that image is put on any data: what nodes need of it, a `name=value` a line.
# Changes nothing, needs no network and no volume.
printf 'postgres=%s\n' "$(postgres --version | grep -oE '[0-9]+(\.[0-9]+|[a-z]+[0-9]+)' | head -n 1)"
control=$(pg_config --sharedir 2>/dev/null)/extension/citus.control
[ -f "$control" ] || control=$(find / -xdev -name citus.control 2>/dev/null | head -n 1)
[ -f "$control" ] && printf 'citus=%s\n' "$(grep -oE "^default_version *= *'[^']+'" "$control" | cut -d "'" -f 2)"
for program in bash docker-entrypoint.sh; do
    command -v "$program" >/dev/null || printf 'lacks=%s\n' "$program"
done
locale -a 2>/dev/null | while read -r locale; do printf 'locale=%s\n' "$locale"; done
for control in "${control%/*}"/*.control; do
    [ -f "$control" ] && printf 'extension=%s\n' "$(basename "$control" .control)"
done
# In kB: a container's own files, and its volumes, are on the engine's disk.
echo "free=$(df -Pk / | awk 'NR == 2 { print $4 }')"
