//! Users and tokens are the same at every member.

use std::time::{Duration, Instant};

use store::etcd::auth_client::AuthClient;
use store::etcd::authpb::Permission;
use store::etcd::kv_client::KvClient;
use store::etcd::*;
use tonic::{Code, Request, Status};

use crate::clients::channel;
use crate::machines::{Machines, inside};

const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: usize = 20;

fn by<T>(token: &str, request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.metadata_mut().insert("token", token.parse().expect("text"));
    request
}

async fn log_in(machine: usize, name: &str, password: &str) -> Result<String, Status> {
    let asked = AuthenticateRequest { name: name.into(), password: password.into() };
    Ok(AuthClient::new(channel(machine)).authenticate(asked).await?.into_inner().token)
}

async fn put(machine: usize, token: &str, key: &'static str) -> Result<(), Status> {
    let put = PutRequest { key: key.into(), value: "1".into(), ..Default::default() };
    KvClient::new(channel(machine)).put(by(token, put)).await.map(|_| ())
}

async fn get(machine: usize, token: &str, key: &'static str) -> Result<(), Status> {
    let range = RangeRequest { key: key.into(), ..Default::default() };
    KvClient::new(channel(machine)).range(by(token, range)).await.map(|_| ())
}

/// Root; and ann, who may write b and nothing else.
async fn guard(machine: usize) {
    let mut auth = AuthClient::new(channel(machine));
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = auth.role_add(AuthRoleAddRequest { name: "r".into() }).await {
        assert!(Instant::now() < deadline, "no leader: {why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let perm = Some(Permission { perm_type: 2, key: "b".into(), range_end: "".into() });
    let grant = AuthRoleGrantPermissionRequest { name: "r".into(), perm };
    auth.role_grant_permission(grant).await.expect("a permission");
    for (name, role) in [("root", "root"), ("ann", "r")] {
        let add = AuthUserAddRequest { name: name.into(), password: "pw".into(), options: None };
        auth.user_add(add).await.expect("a user");
        let grant = AuthUserGrantRoleRequest { user: name.into(), role: role.into() };
        auth.user_grant_role(grant).await.expect("a role for the user");
    }
    auth.auth_enable(AuthEnableRequest {}).await.expect("enabled");
}

#[test]
fn a_token_of_one_member_is_good_at_the_others() {
    if !inside("users::a_token_of_one_member_is_good_at_the_others") {
        return;
    }
    let mut machines = Machines::new(3);
    let start = format!("--initial-cluster {} --bcrypt-cost 4", machines.initial_cluster(&[1, 2, 3]));
    for machine in 1..=3 {
        machines.get(machine).start(&start);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let token = runtime.block_on(async {
        guard(1).await;
        for round in 0..ROUNDS {
            // At once: the other may not have heard of it yet.
            let (one, other) = (1 + round % 3, 1 + (round + 1) % 3);
            let token = log_in(one, "ann", "pw").await.expect("a token");
            get(other, &token, "b").await.expect("she may");
            put(other, &token, "b").await.expect("she may");
            let denied = put(other, &token, "a").await.expect_err("she may not");
            assert_eq!(denied.code(), Code::PermissionDenied, "{denied}");
            let nobody = get(other, "x", "b").await.expect_err("no token");
            assert_eq!(nobody.code(), Code::Unauthenticated, "{nobody}");
        }
        let (root, ann) = (log_in(1, "root", "pw").await, log_in(2, "ann", "pw").await);
        let (root, ann) = (root.expect("a token"), ann.expect("a token"));
        let change = AuthUserChangePasswordRequest { name: "ann".into(), password: "new".into() };
        AuthClient::new(channel(2)).user_change_password(by(&root, change)).await.expect("changed");
        for machine in 1..=3 {
            // Either the token is gone there, or what it stands for is known to be old.
            put(machine, &ann, "b").await.expect_err("an old token");
            get(machine, &ann, "b").await.expect_err("an old token");
        }
        root
    });
    machines.get(3).kill();
    machines.get(3).start(&start);
    runtime.block_on(async {
        let deadline = Instant::now() + PATIENCE;
        while let Err(why) = log_in(3, "ann", "new").await {
            assert!(Instant::now() < deadline, "the member does not come back: {why}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let fresh = log_in(3, "root", "pw").await.expect("a token");
        for token in [token, fresh] {
            put(1, &token, "a").await.expect("root may");
        }
    });
}
