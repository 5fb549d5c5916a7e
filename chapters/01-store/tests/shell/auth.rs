//! Users, roles and tokens: a real etcd and a real etcdctl beside ours, and what only ours does.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use store::etcd::auth_client::AuthClient;
use store::etcd::authpb::{Permission, UserAddOptions};
use store::etcd::kv_client::KvClient;
use store::etcd::lease_client::LeaseClient;
use store::etcd::maintenance_client::MaintenanceClient;
use store::etcd::request_op::Request as Op;
use store::etcd::watch_client::WatchClient;
use store::etcd::watch_request::RequestUnion;
use store::etcd::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::mirror::Etcd;
use crate::support::{Server, connect, have, runtime};

/// Hashing as quick as it can be.
const QUICK: [&str; 2] = ["--bcrypt-cost", "4"];

/// What a person types. Lines that begin with a name are typed as that user.
const SCRIPT: &str = "
    auth enable
    user add root:rootpw
    user add root:rootpw
    user add ann:annpw
    user add bob --no-password
    user add eve:
    user get nobody
    role add reader
    role add reader
    role grant-permission reader read /a /c
    role grant-permission reader read /b /d
    role grant-permission reader read /b /c
    role grant-permission reader readwrite /k
    role grant-permission reader read --prefix /p
    role grant-permission reader read --from-key /x
    role grant-permission nothing read /a
    role get reader
    role get nothing
    role get root
    user grant-role ann reader
    user grant-role ann reader
    user grant-role ann nothing
    user grant-role nobody reader
    user get ann
    user get ann --detail
    user list
    role list
    ann:annpw get /a
    auth enable
    auth enable
    user list
    put /a 1
    get /a
    root:rootpw role list
    root:rootpw user get root
    root:rootpw put /a 1
    root:rootpw put /y 2
    root:rootpw get / --prefix
    ann:wrong get /a
    nobody:wrong get /a
    bob:wrong get /a
    ann:annpw user list
    ann:annpw user get ann
    ann:annpw user get root
    ann:annpw role get reader
    ann:annpw role get root
    ann:annpw role add mine
    ann:annpw auth disable
    ann:annpw get /a
    ann:annpw get /a /d
    ann:annpw get /a /e
    ann:annpw get /x --from-key
    ann:annpw get /w --from-key
    ann:annpw get /p --prefix
    ann:annpw get / --prefix
    ann:annpw put /k 1
    ann:annpw put /k 2 --prev-kv
    ann:annpw put /a 2
    ann:annpw del /k --prev-kv
    ann:annpw del /a /c
    ann:annpw defrag
    ann:annpw endpoint hashkv
    ann:annpw member add x --peer-urls http://127.0.0.1:1
    ann:annpw endpoint health
    defrag
    member add x --peer-urls http://127.0.0.1:1
    root:rootpw user delete root
    root:rootpw user revoke-role root root
    root:rootpw role delete root
    root:rootpw user revoke-role ann nothing
    root:rootpw role revoke-permission reader /q
    root:rootpw role revoke-permission reader /b /c
    root:rootpw role revoke-permission reader --from-key /x
    root:rootpw role get reader
    ann:annpw get /y
    root:rootpw user revoke-role ann reader
    ann:annpw get /a
    root:rootpw user grant-role ann root
    ann:annpw put /y 3
    root:rootpw user revoke-role ann root
    root:rootpw role delete reader
    root:rootpw role list
    root:rootpw user delete ann
    ann:annpw get /a
    root:rootpw user list
    root:rootpw auth disable
    auth disable
    root:rootpw get /a
    user list
    put /y 4
";

/// What etcdctl says, without what is never the same twice.
fn ctl(endpoint: &str, line: &str) -> String {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", endpoint, "--command-timeout=10s"]);
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if words[0].contains(':') {
        command.args(["--user", words.remove(0)]);
    }
    let output = command.args(words).output().expect("etcdctl");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Of a line of its log the error is left, and of one that says how long it took the rest.
    let lines = said.lines().chain(errors.lines());
    let lines = lines.map(|line| line.split_once("\"error\":").map_or(line, |(_, error)| error));
    let lines: Vec<&str> = lines.map(|line| line.split(": took").next().unwrap_or(line)).collect();
    let all = format!("{}\n{:?}", lines.join("\n"), output.status.code());
    all.replace(endpoint, "ENDPOINT")
}

#[test]
fn etcdctl_cannot_tell_our_users_and_roles_from_those_of_etcd() {
    if !have("etcd") || !have("etcdctl") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (our_server, their_server) = (Server::start_with(dir.path(), &QUICK), Etcd::start_with(&QUICK));
    runtime().block_on(their_server.connect());
    let (ours, theirs) = (our_server.endpoint(), their_server.address.to_string());
    let mut differences = String::new();
    for line in SCRIPT.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (a, b) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| ctl(&ours, line));
            (ours.join().expect("etcdctl"), ctl(&theirs, line))
        });
        if a != b {
            differences += &format!("etcdctl {line}\n--- ours\n{a}\n--- etcd's\n{b}\n\n");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// With a token, or whatever is in its place.
fn by<T>(token: &str, request: T) -> Request<T> {
    let mut request = Request::new(request);
    if !token.is_empty() {
        request.metadata_mut().insert("token", token.parse().expect("text"));
    }
    request
}

async fn log_in(channel: &Channel, name: &str) -> Result<String, Status> {
    let asked = AuthenticateRequest { name: name.into(), password: "pw".into() };
    Ok(AuthClient::new(channel.clone()).authenticate(asked).await?.into_inner().token)
}

async fn add_user(auth: &mut AuthClient<Channel>, token: &str, name: &str, role: &str) {
    let add = AuthUserAddRequest { name: name.into(), password: "pw".into(), options: None };
    auth.user_add(by(token, add)).await.expect("a user");
    if !role.is_empty() {
        let grant = AuthUserGrantRoleRequest { user: name.into(), role: role.into() };
        auth.user_grant_role(by(token, grant)).await.expect("a role for the user");
    }
}

/// Root; ann, who may read from a to c and write from b to d; bob, who may do nothing. Tokens of all.
async fn guard(channel: &Channel) -> [String; 3] {
    let mut auth = AuthClient::new(channel.clone());
    auth.role_add(AuthRoleAddRequest { name: "r".into() }).await.expect("a role");
    for (perm_type, key, end) in [(0, "a", "c"), (1, "b", "d")] {
        let perm = Some(Permission { perm_type, key: key.into(), range_end: end.into() });
        let grant = AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        auth.role_grant_permission(grant).await.expect("a permission");
    }
    for (name, role) in [("root", "root"), ("ann", "r"), ("bob", "")] {
        add_user(&mut auth, "", name, role).await;
    }
    auth.auth_enable(AuthEnableRequest {}).await.expect("enabled");
    let mut tokens = Vec::new();
    for name in ["root", "ann", "bob"] {
        tokens.push(log_in(channel, name).await.expect("a token"));
    }
    tokens.try_into().expect("three")
}

fn said<T>(answer: Result<tonic::Response<T>, Status>) -> String {
    match answer {
        Ok(_) => "done".into(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// The first answer to a watch that somebody wants.
async fn watch(channel: &Channel, token: &str, key: &str, range_end: &str) -> String {
    let (ask, asked) = tokio::sync::mpsc::channel(1);
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    let create = WatchCreateRequest { key, range_end, ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    ask.send(create).await.expect("sent");
    let mut watch = WatchClient::new(channel.clone());
    let answers = watch.watch(by(token, ReceiverStream::new(asked))).await.expect("a stream");
    let answer = answers.into_inner().message().await.expect("no error").expect("an answer");
    let WatchResponse { watch_id, created, canceled, cancel_reason, .. } = answer;
    format!("watch {watch_id} created {created} canceled {canceled} {cancel_reason:?}")
}

fn put(key: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: "1".into(), ..Default::default() }
}

fn range(key: &str, end: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..Default::default() }
}

fn delete(key: &str, end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: key.to_owned().into(), range_end: end.to_owned().into(), ..Default::default() }
}

fn compare(key: &str) -> Compare {
    Compare { key: key.to_owned().into(), ..Default::default() }
}

fn op(request: Op) -> Vec<RequestOp> {
    vec![RequestOp { request: Some(request) }]
}

/// The same requests by all kinds of clients, and what came of them.
async fn try_all(channel: &Channel) -> Vec<String> {
    let [root, ann, bob] = guard(channel).await;
    let (mut kv, mut lease) = (KvClient::new(channel.clone()), LeaseClient::new(channel.clone()));
    let (mut auth, mut maintenance) =
        (AuthClient::new(channel.clone()), MaintenanceClient::new(channel.clone()));
    let mut all = Vec::new();
    for (id, key) in [(1, "b"), (2, "x"), (3, "")] {
        lease.lease_grant(by(&root, LeaseGrantRequest { id, ttl: 1000 })).await.expect("a lease");
        if !key.is_empty() {
            kv.put(by(&root, PutRequest { lease: id, ..put(key) })).await.expect("a key on it");
        }
    }
    let who = [("root", &*root), ("ann", &*ann), ("bob", &*bob)];
    let strangers = [("nobody", ""), ("words", "x"), ("dots", "a.b.c"), ("liar", "abcdefghijklmnop.3")];
    for (name, token) in who.into_iter().chain(strangers) {
        let mut tell = |what: &str, said: String| all.push(format!("{name}: {what}: {said}"));
        for key in ["a", "b", "c", "d"] {
            tell(&format!("put {key}"), said(kv.put(by(token, put(key))).await));
            let prev = PutRequest { prev_kv: true, ..put(key) };
            tell(&format!("put {key}, prev"), said(kv.put(by(token, prev)).await));
            tell(&format!("get {key}"), said(kv.range(by(token, range(key, ""))).await));
            let old = RangeRequest { serializable: true, ..range(key, "") };
            tell(&format!("get {key}, serializable"), said(kv.range(by(token, old)).await));
        }
        for (key, end) in [("a", "c"), ("a", "d"), ("b", "d"), ("b", "\0"), ("\0", "\0")] {
            tell(&format!("get {key} to {end}"), said(kv.range(by(token, range(key, end))).await));
            // Nobody but root deletes what the leases of this test need.
            if name != "root" && key != "b" {
                tell(
                    &format!("delete {key} to {end}"),
                    said(kv.delete_range(by(token, delete(key, end))).await),
                );
            }
        }
        let prev = DeleteRangeRequest { prev_kv: true, ..delete("c", "d") };
        tell("delete c, prev", said(kv.delete_range(by(token, prev)).await));
        let parts = [
            TxnRequest { compare: vec![compare("c")], ..Default::default() },
            TxnRequest {
                compare: vec![compare("a")],
                success: op(Op::RequestRange(range("a", "c"))),
                ..Default::default()
            },
            TxnRequest { failure: op(Op::RequestRange(range("c", ""))), ..Default::default() },
            TxnRequest { success: op(Op::RequestPut(put("c"))), ..Default::default() },
            TxnRequest { failure: op(Op::RequestPut(put("a"))), ..Default::default() },
            TxnRequest { success: op(Op::RequestDeleteRange(delete("c", "d"))), ..Default::default() },
            TxnRequest { failure: op(Op::RequestDeleteRange(delete("a", "d"))), ..Default::default() },
        ];
        for (at, txn) in parts.into_iter().enumerate() {
            // Not nested: etcd 3.4 does not look there.
            tell(&format!("txn {at}"), said(kv.txn(by(token, txn)).await));
        }
        for id in [1, 2] {
            let put = PutRequest { lease: id, ..put("b") };
            tell(&format!("put on lease {id}"), said(kv.put(by(token, put)).await));
            if name != "root" {
                // Back again, if it was moved.
                kv.put(by(&root, PutRequest { lease: 1, ..self::put("b") })).await.expect("put");
            }
        }
        if !["root", "ann", "nobody"].contains(&name) {
            tell("revoke 1", said(lease.lease_revoke(by(token, LeaseRevokeRequest { id: 1 })).await));
            tell("revoke 2", said(lease.lease_revoke(by(token, LeaseRevokeRequest { id: 2 })).await));
        }
        for (key, end) in [("a", ""), ("c", ""), ("a", "c"), ("b", "d"), ("\0", "\0")] {
            tell(&format!("watch {key} to {end}"), watch(channel, token, key, end).await);
        }
        let user = |name: &str| AuthUserGetRequest { name: name.into() };
        tell("user ann", said(auth.user_get(by(token, user("ann"))).await));
        tell("user bob", said(auth.user_get(by(token, user("bob"))).await));
        tell("role r", said(auth.role_get(by(token, AuthRoleGetRequest { role: "r".into() })).await));
        tell("users", said(auth.user_list(by(token, AuthUserListRequest {})).await));
        tell("roles", said(auth.role_list(by(token, AuthRoleListRequest {})).await));
        let nameless = AuthUserAddRequest::default();
        tell("a user without a name", said(auth.user_add(by(token, nameless)).await));
        tell("a role without a name", said(auth.role_add(by(token, AuthRoleAddRequest::default())).await));
        tell("hash", said(maintenance.hash(by(token, HashRequest {})).await));
        tell("defragment", said(maintenance.defragment(by(token, DefragmentRequest {})).await));
        tell("status", said(maintenance.status(by(token, StatusRequest {})).await));
    }
    let options = Some(UserAddOptions { no_password: true });
    let add = AuthUserAddRequest { name: "card".into(), password: String::new(), options };
    auth.user_add(by(&root, add)).await.expect("a user");
    for name in ["card", "nobody", ""] {
        let asked = AuthenticateRequest { name: name.into(), password: "pw".into() };
        all.push(format!("log in as {name}: {}", said(auth.authenticate(asked).await)));
    }
    // A changed password, a deleted user and an end of it all take tokens away.
    let change = AuthUserChangePasswordRequest { name: "ann".into(), password: "other".into() };
    auth.user_change_password(by(&root, change)).await.expect("changed");
    all.push(format!("old token: {}", said(kv.range(by(&ann, range("a", ""))).await)));
    all.push(format!("old password: {:?}", log_in(channel, "ann").await.map_err(|e| e.message().to_owned())));
    auth.user_delete(by(&root, AuthUserDeleteRequest { name: "bob".into() })).await.expect("deleted");
    all.push(format!("deleted: {}", said(kv.range(by(&bob, range("a", ""))).await)));
    auth.auth_disable(by(&root, AuthDisableRequest {})).await.expect("disabled");
    all.push(format!("after all: {}", said(kv.range(range("a", "")).await)));
    auth.auth_enable(AuthEnableRequest {}).await.expect("enabled");
    all.push(format!("again: {}", said(kv.range(by(&root, range("a", ""))).await)));
    all
}

#[test]
fn requests_are_allowed_and_refused_as_etcd_does() {
    if !have("etcd") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Server::start_with(dir.path(), &QUICK), Etcd::start_with(&QUICK));
    runtime().block_on(async {
        let (ours, theirs) = (connect(ours.address).await, theirs.connect().await);
        let (a, b) = tokio::join!(try_all(&ours), try_all(&theirs));
        let differences = a.iter().zip(&b).filter(|(a, b)| a != b);
        let differences: Vec<String> = differences.map(|(a, b)| format!("ours {a}\netcd {b}")).collect();
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert_eq!(a.len(), b.len());
    });
}

/// A client's certificate says who it is, unless a token does.
#[test]
fn a_certificate_with_a_users_name_is_as_good_as_a_token() {
    if !have("etcdctl") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let authority = authority.expect("a certificate");
    std::fs::write(at("ca.crt"), authority.pem()).expect("written");
    issue(&authority, dir.path(), "server", ExtendedKeyUsagePurpose::ServerAuth);
    for user in ["root", "ann", "nobody"] {
        issue(&authority, dir.path(), user, ExtendedKeyUsagePurpose::ClientAuth);
    }
    let (cert, key, ca) = (at("server.crt"), at("server.key"), at("ca.crt"));
    let tls = ["--cert-file", &cert, "--key-file", &key, "--trusted-ca-file", &ca, "--client-cert-auth"];
    let server = Server::start_with(&dir.path().join("data"), &[&tls[..], &QUICK].concat());
    let ctl = |who: &str, line: &str| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &server.endpoint(), "--cacert", &ca]);
        command.args(["--cert", &at(&format!("{who}.crt")), "--key", &at(&format!("{who}.key"))]);
        let output = command.args(line.split_whitespace()).output().expect("etcdctl");
        let said = if output.status.success() { output.stdout } else { output.stderr };
        String::from_utf8_lossy(&said).lines().last().unwrap_or_default().to_owned()
    };
    ctl("root", "user add root --no-password");
    ctl("root", "user add ann:pw");
    ctl("root", "role add r");
    ctl("root", "role grant-permission r readwrite a");
    ctl("root", "user grant-role ann r");
    assert_eq!(ctl("root", "auth enable"), "Authentication Enabled");
    assert_eq!(ctl("root", "put b 1"), "OK");
    assert_eq!(ctl("ann", "put a 1"), "OK");
    assert_eq!(ctl("ann", "put b 1"), "Error: etcdserver: permission denied");
    assert_eq!(ctl("nobody", "get a"), "Error: etcdserver: permission denied");
    assert_eq!(ctl("root", "--user ann:pw put b 1"), "Error: etcdserver: permission denied");
    assert_eq!(ctl("ann", "user list"), "Error: etcdserver: permission denied");
    assert_eq!(ctl("root", "user list"), "root");
}

/// Writes `NAME.crt`, with the name in it, and `NAME.key`.
fn issue(authority: &CertifiedIssuer<'_, KeyPair>, dir: &Path, name: &str, usage: ExtendedKeyUsagePurpose) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().expect("a key");
    let cert = params.signed_by(&key, authority).expect("a certificate");
    std::fs::write(dir.join(format!("{name}.crt")), cert.pem()).expect("written");
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

#[test]
fn users_outlive_the_process_and_tokens_do_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(dir.path(), &QUICK);
    let tokens = runtime().block_on(async {
        let channel = connect(server.address).await;
        let tokens = guard(&channel).await;
        // Once more from a snapshot, and not from the log.
        let mut maintenance = MaintenanceClient::new(channel);
        maintenance.defragment(by(&tokens[0], DefragmentRequest {})).await.expect("cut");
        tokens
    });
    server.stop().expect("stopped");
    let server = Server::start_with(dir.path(), &QUICK);
    runtime().block_on(async {
        let channel = connect(server.address).await;
        let mut kv = KvClient::new(channel.clone());
        let refused = kv.put(by(&tokens[1], put("b"))).await.expect_err("an old token");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unauthenticated, "etcdserver: invalid auth token")
        );
        let fresh = log_in(&channel, "ann").await.expect("the password is the same");
        kv.put(by(&fresh, put("b"))).await.expect("she may");
        let denied = kv.put(by(&fresh, put("a"))).await.expect_err("she may not");
        assert_eq!(denied.code(), Code::PermissionDenied);
        // Of etcd 3.5, so there is nothing to compare it with.
        let root = log_in(&channel, "root").await.expect("the password is the same");
        let mut auth = AuthClient::new(channel);
        let status = auth.auth_status(by(&root, AuthStatusRequest {})).await.expect("root may");
        assert!(status.get_ref().enabled && status.get_ref().auth_revision > 1);
        let denied = auth.auth_status(by(&fresh, AuthStatusRequest {})).await.expect_err("she may not");
        assert_eq!(denied.code(), Code::PermissionDenied);
    });
}

/// Nobody asks for it, so it is done as root.
#[test]
fn a_lease_that_runs_out_takes_its_keys_along_whoever_may_write_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(dir.path(), &QUICK);
    runtime().block_on(async {
        let channel = connect(server.address).await;
        let [root, ann, _] = guard(&channel).await;
        let mut lease = LeaseClient::new(channel.clone());
        lease.lease_grant(by(&ann, LeaseGrantRequest { id: 7, ttl: 1 })).await.expect("a lease");
        let (ask, asked) = tokio::sync::mpsc::channel(1);
        let create = WatchCreateRequest { key: "b".into(), filters: vec![0], ..Default::default() };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        ask.send(create).await.expect("sent");
        let mut watch = WatchClient::new(channel.clone());
        let answers = watch.watch(by(&root, ReceiverStream::new(asked))).await;
        let mut answers = answers.expect("a stream").into_inner();
        assert!(answers.message().await.expect("no error").expect("an answer").created);
        let put = PutRequest { lease: 7, ..put("b") };
        KvClient::new(channel).put(by(&ann, put)).await.expect("she may");
        let gone = answers.message().await.expect("no error").expect("an answer");
        assert_eq!(gone.events.len(), 1, "b is deleted");
    });
}
