#!/bin/sh
# Builds Kubernetes 1.20's own components from Debian's source package, with Debian's Go: on Debian 12, some ten
# minutes and 4 GB. They are the youngest that can be had so; what they ask of an API server that a younger one no
# longer has (policy/v1beta1, discovery.k8s.io/v1beta1) they are told to do without, where the tests start them.
#
#   tests/clients/kubernetes.sh FOLDER
#   CORACLE_KUBERNETES=FOLDER/bin cargo test -p clients --test kubernetes
set -eu
[ $# = 1 ] || { sed -n 's/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1/bin" "$1/lists/partial" "$1/go" "$1/gopath/src/k8s.io/kubernetes"
cd "$1"
folder=$PWD

# The sources of the system's own repositories, in lists beside the system's.
sed 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources \
  2>/dev/null >source.sources || true
sources="-o Dir::Etc::sourcelist=$folder/source.sources -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists=$folder/lists -o APT::Sandbox::User=root"
# shellcheck disable=SC2086
apt-get $sources update -qq
# shellcheck disable=SC2086
apt-get $sources source -qq --download-only kubernetes
tar -C gopath/src/k8s.io/kubernetes --strip-components=1 -xf kubernetes_1.20.*.orig.tar.gz
apt-get -o APT::Sandbox::User=root download -qq golang-1.19-go golang-1.19-src
for package in golang-1.19-*.deb; do dpkg-deb -x "$package" go; done

export GOROOT="$folder/go/usr/lib/go-1.19" GOPATH="$folder/gopath" GOCACHE="$folder/gocache"
# Everything is in the package's vendor folder; nothing is fetched.
export GO111MODULE=off GOPROXY=off GOFLAGS= CGO_ENABLED=0
cd gopath/src/k8s.io/kubernetes
for component in kube-scheduler kube-controller-manager; do
  "$GOROOT/bin/go" build -o "$folder/bin/" "./cmd/$component"
done
echo "built: $(ls "$folder/bin")"
