//! The working store from outside: real etcdctl, real etcd beside it, and `kill -9`.

#[path = "shell/auth.rs"]
mod auth;
#[path = "shell/beside.rs"]
mod beside;
#[path = "shell/crash.rs"]
mod crash;
#[path = "shell/etcdctl.rs"]
mod etcdctl;
#[path = "shell/full_disk.rs"]
mod full_disk;
#[path = "shell/mirror.rs"]
mod mirror;
#[path = "shell/recovery.rs"]
mod recovery;
#[path = "shell/saved.rs"]
mod saved;
#[path = "shell/streams.rs"]
mod streams;
#[path = "shell/support.rs"]
mod support;
#[path = "shell/tls.rs"]
mod tls;
