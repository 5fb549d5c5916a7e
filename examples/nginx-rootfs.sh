#!/bin/sh
# Makes a root file system with a real nginx from Debian's packages: nothing is installed on this machine.
# Usage: examples/nginx-rootfs.sh DIR
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "$0: needs Debian's or Ubuntu's apt-get and dpkg-deb" >&2; exit 1; }
root=$1
mkdir -p "$root"
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

# nginx and the libraries below it; what only its installation needs (debconf, init scripts) stays out.
wanted=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances nginx |
    grep -E '^(nginx|nginx-common|lib[a-z0-9.+-]+|zlib1g|gcc-[0-9]+-base)$' | sort -u)
(cd "$packages" && apt-get download -q -o APT::Sandbox::User=root $wanted >/dev/null)
# Merged /usr, as on any current Debian.
for dir in bin sbin lib lib64; do mkdir -p "$root/usr/$dir"; [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"; done
for package in "$packages"/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"; done

mkdir -p "$root/etc" "$root/tmp" "$root/run" "$root/var/log/nginx" "$root/var/lib/nginx" "$root/var/www/html" "$root/etc/nginx/sites-enabled"
echo 'root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:
www-data:x:33:' >"$root/etc/group"
ln -sf ../sites-available/default "$root/etc/nginx/sites-enabled/default"
cp "$root/usr/share/nginx/html/index.html" "$root/var/www/html/index.html"
# Logs go where `kubectl logs` finds them.
ln -sf /dev/stdout "$root/var/log/nginx/access.log"
ln -sf /dev/stderr "$root/var/log/nginx/error.log"
du -sh "$root"
