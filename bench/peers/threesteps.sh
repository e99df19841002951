#!/bin/sh
# What people are told to do by hand: unpack the outer tar, then every inner one into a folder of its name, and remove
# the inner ones. Usage: threesteps.sh ARCHIVE TARGET [md5sum] [large]. With `md5sum`, the archive is hashed first and
# compared with the MD5SUMS beside it. With `large`, nothing is left in the page cache from one step to the next, as it
# is with an archive larger than memory. What was written is made durable at the end, as `ilsvrc prepare` does.
set -eu
archive=$1 target=$2
shift 2

leave_cache() {
    case " $steps " in *" large "*) ;; *) return 0 ;; esac
    sync -f "$target"
    for file; do dd if="$file" iflag=nocache count=0 status=none; done
}

steps=$*
mkdir -p "$target"
case " $steps " in *" md5sum "*)
    name=$(basename "$archive")
    (cd "$(dirname "$archive")" && grep " $name\$" MD5SUMS | md5sum --check --quiet)
    leave_cache "$archive"
esac
tar -xf "$archive" -C "$target"
leave_cache "$archive" "$target"/*.tar
for inner in "$target"/*.tar; do
    mkdir "${inner%.tar}"
    tar -xf "$inner" -C "${inner%.tar}"
    rm "$inner"
done
sync -f "$target"
