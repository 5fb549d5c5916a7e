//! Users and what they may do. All of it is given: it does not count for a step.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::heart::auth::{Access, AuthCommand, AuthError, Caller, Permission};
use crate::heart::range::Range;
use crate::heart::snapshot::{Loader, Snapshot};
use crate::heart::txn::{Compare, DeleteRange, Is, Op, Put, Target, Txn};
use crate::heart::types::{KeyRange, RangeEnd};
use crate::heart::wal::{Frames, Next};
use crate::heart::{Command, Error, Store};
use crate::random::{key, keys};

fn change(store: &mut Store, command: AuthCommand) -> Result<(), Error> {
    let command = store.auth().as_root(Command::Auth(command));
    store.apply(&command).answer.map(|_| ())
}

fn add_user(store: &mut Store, user: &str, roles: &[&str]) {
    let password = Some("hash".into());
    change(store, AuthCommand::UserAdd { user: user.into(), password }).expect("a user");
    for role in roles {
        let grant = AuthCommand::UserGrantRole { user: user.into(), role: role.to_string() };
        change(store, grant).expect("a role for the user");
    }
}

fn add_role(store: &mut Store, role: &str, permissions: &[(Access, KeyRange)]) {
    change(store, AuthCommand::RoleAdd { role: role.into() }).expect("a role");
    for (access, keys) in permissions {
        let permission = Permission { access: *access, keys: keys.clone() };
        change(store, AuthCommand::RoleGrant { role: role.into(), permission }).expect("a permission");
    }
}

fn caller(store: &Store, user: &str) -> Caller {
    Caller { user: user.into(), revision: store.auth().revision() }
}

fn apply_as(store: &mut Store, user: &str, command: Command) -> Result<(), Error> {
    let command = Command::As(caller(store, user), Box::new(command));
    store.apply(&command).answer.map(|_| ())
}

/// Root, and ann, who may read a to c and write b to d; bob may do nothing.
fn guarded() -> Store {
    let mut store = Store::new();
    add_role(&mut store, "reader", &[(Access::Read, between("a", "c"))]);
    add_role(&mut store, "writer", &[(Access::Write, between("b", "d"))]);
    add_user(&mut store, "root", &["root"]);
    add_user(&mut store, "ann", &["reader", "writer"]);
    add_user(&mut store, "bob", &[]);
    change(&mut store, AuthCommand::Enable).expect("enabled");
    store
}

fn between(start: &str, end: &str) -> KeyRange {
    KeyRange { start: start.as_bytes().into(), end: RangeEnd::Before(end.as_bytes().into()) }
}

fn put(key: &str) -> Put {
    Put::new(key.as_bytes(), *b"1")
}

const DENIED: Result<(), Error> = Err(Error::Auth(AuthError::PermissionDenied));

#[test]
fn it_is_enabled_only_with_somebody_in_charge_who_then_stays() {
    let mut store = Store::new();
    let enable = || AuthCommand::Enable;
    assert_eq!(change(&mut store, enable()), Err(AuthError::RootUserNotExist.into()));
    add_user(&mut store, "root", &[]);
    assert_eq!(change(&mut store, enable()), Err(AuthError::RootRoleNotExist.into()));
    let (user, role) = (|| "root".to_string(), || "root".to_string());
    change(&mut store, AuthCommand::UserGrantRole { user: user(), role: role() })
        .expect("no such role needed");
    change(&mut store, enable()).expect("enabled");
    for command in [
        AuthCommand::UserDelete { user: user() },
        AuthCommand::UserRevokeRole { user: user(), role: role() },
        AuthCommand::RoleDelete { role: role() },
    ] {
        assert_eq!(change(&mut store, command), Err(AuthError::InvalidManagement.into()));
    }
}

#[test]
fn a_command_is_judged_when_it_is_applied() {
    let mut store = guarded();
    let anonymous = Command::Put(put("b"));
    assert_eq!(store.apply(&anonymous).answer, Err(AuthError::UserEmpty.into()));
    let asked_before = Command::As(caller(&store, "ann"), Box::new(Command::Put(put("b"))));
    store.apply(&asked_before).answer.expect("she may");
    add_user(&mut store, "eve", &[]);
    assert_eq!(store.apply(&asked_before).answer, Err(AuthError::OldRevision.into()));
    assert_eq!(apply_as(&mut store, "ann", Command::Put(put("b"))), Ok(()));
    change(&mut store, AuthCommand::Disable).expect("disabled");
    store.apply(&anonymous).answer.expect("anyone may");
}

#[test]
fn what_only_root_may_do() {
    let mut store = guarded();
    let add = || Command::Auth(AuthCommand::RoleAdd { role: "x".into() });
    assert_eq!(apply_as(&mut store, "ann", add()), DENIED);
    assert_eq!(apply_as(&mut store, "nobody", add()), DENIED);
    assert_eq!(store.apply(&add()).answer, Err(AuthError::UserEmpty.into()));
    assert_eq!(apply_as(&mut store, "root", add()), Ok(()));
    let (ann, root) = (caller(&store, "ann"), caller(&store, "root"));
    let auth = store.auth();
    assert_eq!(auth.users(Some(&ann)), Err(AuthError::PermissionDenied));
    assert_eq!(auth.roles(None), Err(AuthError::UserEmpty));
    assert_eq!(auth.user(Some(&ann), "ann"), Ok(vec!["reader".into(), "writer".into()]), "herself");
    assert_eq!(auth.user(Some(&ann), "bob"), Err(AuthError::PermissionDenied));
    assert_eq!(auth.role(Some(&ann), "reader").map(|p| p.len()), Ok(1), "a role of hers");
    assert_eq!(auth.role(Some(&ann), "x"), Err(AuthError::PermissionDenied));
    assert_eq!(auth.user(Some(&root), "bob"), Ok(vec![]));
    assert_eq!(auth.users(Some(&root)).map(|u| u.join(" ")), Ok("ann bob root".into()));
}

#[test]
fn what_is_shown_needs_a_right_to_read_and_what_is_changed_one_to_write() {
    let mut store = guarded();
    let mut ann = |command: Command| apply_as(&mut store, "ann", command);
    assert_eq!(ann(Command::Put(put("c"))), Ok(()));
    assert_eq!(ann(Command::Put(put("a"))), DENIED);
    assert_eq!(ann(Command::Put(Put { prev_kv: true, ..put("b") })), Ok(()));
    assert_eq!(ann(Command::Put(Put { prev_kv: true, ..put("c") })), DENIED);
    let delete = |end, prev_kv| Command::Delete(DeleteRange { keys: between("b", end), prev_kv });
    assert_eq!(ann(delete("c", true)), Ok(()));
    assert_eq!(ann(delete("d", false)), Ok(()));
    assert_eq!(ann(delete("d", true)), DENIED);
    assert_eq!(ann(delete("d\0", false)), DENIED);
}

#[test]
fn a_transaction_may_do_only_what_each_of_its_parts_may() {
    let mut store = guarded();
    let compare = |key: &str| Compare {
        keys: KeyRange::single(key.as_bytes()),
        is: Is::Equal,
        than: Target::Version(0),
    };
    let mut ann = |txn: Txn| apply_as(&mut store, "ann", Command::Txn(txn));
    let good = || vec![Op::Put(put("b")), Op::Range(Range::of(between("a", "c")))];
    assert_eq!(ann(Txn { compare: vec![compare("a")], success: good(), failure: vec![] }), Ok(()));
    let bad = [
        Op::Put(put("a")),
        Op::Put(Put { prev_kv: true, ..put("c") }),
        Op::Range(Range::of(between("a", "d"))),
        Op::Delete(DeleteRange { keys: between("a", "b"), prev_kv: false }),
        Op::Txn(Txn { compare: vec![compare("c")], ..Txn::default() }),
    ];
    for bad in bad {
        let nested = Op::Txn(Txn { failure: vec![bad.clone()], ..Txn::default() });
        for op in [bad, nested] {
            let txn = Txn { success: vec![op.clone()], ..Txn::default() };
            assert_eq!(ann(txn), DENIED, "{op:?}");
            let not_taken = Txn { success: good(), failure: vec![op.clone()], ..Txn::default() };
            assert_eq!(ann(not_taken), DENIED, "{op:?}");
        }
    }
    assert_eq!(ann(Txn { compare: vec![compare("c")], success: good(), failure: vec![] }), DENIED);
}

#[test]
fn a_lease_belongs_to_those_who_may_write_its_keys() {
    let mut store = guarded();
    let (ours, theirs) = (1, 2);
    for id in [ours, theirs] {
        apply_as(&mut store, "bob", Command::LeaseGrant { id, ttl: 9 }).expect("any user may");
    }
    let leased = |key, lease| Command::Put(Put { lease, ..put(key) });
    apply_as(&mut store, "root", leased("b", ours)).expect("root may");
    apply_as(&mut store, "root", leased("x", theirs)).expect("root may");
    assert_eq!(apply_as(&mut store, "ann", leased("b", ours)), Ok(()));
    assert_eq!(apply_as(&mut store, "ann", leased("b", theirs)), DENIED, "it would go with x");
    let in_txn = Txn { success: vec![Op::Put(Put { lease: theirs, ..put("b") })], ..Txn::default() };
    assert_eq!(apply_as(&mut store, "ann", Command::Txn(in_txn)), DENIED);
    let revoke = |id| Command::LeaseRevoke { id };
    assert_eq!(apply_as(&mut store, "ann", revoke(theirs)), DENIED);
    assert_eq!(apply_as(&mut store, "bob", revoke(ours)), DENIED);
    assert_eq!(store.apply(&revoke(ours)).answer, Err(AuthError::UserEmpty.into()));
    assert_eq!(apply_as(&mut store, "ann", revoke(ours)), Ok(()));
    let by_the_store_itself = store.auth().as_root(revoke(theirs));
    add_user(&mut store, "eve", &[]);
    store.apply(&by_the_store_itself).answer.expect("its age does not matter");
    let (ann, leases) = (caller(&store, "ann"), store.leases());
    assert_eq!(store.auth().check_lease(Some(&ann), theirs, leases), Ok(()), "it has no keys");
}

#[test]
fn a_token_is_given_for_a_password_that_is_still_the_same() {
    let mut store = guarded();
    let (hash, revision) = store.auth().password("ann").expect("she has one");
    assert_eq!(&*hash, "hash");
    let give = |revision| {
        let (user, token) = ("ann".to_string(), "t".to_string());
        Command::Auth(AuthCommand::Authenticate { user, token, revision })
    };
    store.apply(&give(revision)).answer.expect("nobody has to ask for it");
    let password = Some("other".into());
    change(&mut store, AuthCommand::UserChangePassword { user: "ann".into(), password }).expect("changed");
    assert_eq!(store.apply(&give(revision)).answer, Err(AuthError::OldRevision.into()));
    let user = "card".to_string();
    change(&mut store, AuthCommand::UserAdd { user: user.clone(), password: None }).expect("a user");
    assert_eq!(store.auth().password("card"), Err(AuthError::NoPassword));
    change(&mut store, AuthCommand::UserChangePassword { user, password: Some("x".into()) })
        .expect("nothing");
    assert_eq!(store.auth().password("card"), Err(AuthError::NoPassword), "and gets none");
    assert_eq!(store.auth().password("nobody"), Err(AuthError::Failed));
}

#[test]
fn what_is_taken_away_is_gone() {
    let mut store = guarded();
    let may = |store: &Store| store.auth().check_range(Some(&caller(store, "ann")), &between("a", "c"));
    assert_eq!(may(&store), Ok(()));
    let user = || "ann".to_string();
    change(&mut store, AuthCommand::UserRevokeRole { user: user(), role: "reader".into() }).expect("revoked");
    assert_eq!(may(&store), Err(AuthError::PermissionDenied));
    change(&mut store, AuthCommand::UserGrantRole { user: user(), role: "reader".into() }).expect("granted");
    assert_eq!(may(&store), Ok(()));
    let (role, keys) = (|| "reader".to_string(), || between("a", "c"));
    change(&mut store, AuthCommand::RoleRevoke { role: role(), keys: keys() }).expect("revoked");
    assert_eq!(may(&store), Err(AuthError::PermissionDenied));
    let again = AuthCommand::RoleRevoke { role: role(), keys: keys() };
    assert_eq!(change(&mut store, again), Err(AuthError::PermissionNotGranted.into()));
    let permission = Permission { access: Access::ReadWrite, keys: keys() };
    change(&mut store, AuthCommand::RoleGrant { role: role(), permission }).expect("granted");
    assert_eq!(may(&store), Ok(()));
    change(&mut store, AuthCommand::RoleDelete { role: role() }).expect("deleted");
    assert_eq!(may(&store), Err(AuthError::PermissionDenied));
    change(&mut store, AuthCommand::UserDelete { user: user() }).expect("deleted");
    assert_eq!(may(&store), Err(AuthError::PermissionDenied));
}

#[test]
fn a_snapshot_has_the_users_and_what_they_may() {
    let store = guarded();
    let file: Vec<u8> = Snapshot::of(&store, 7).frames().flatten().collect();
    let (mut frames, mut loader) = (Frames::new(&file), Loader::default());
    while let Next::Frame { kind, payload } = frames.next_frame().expect("whole") {
        loader.handle_frame(kind, payload).expect("well formed");
    }
    let (loaded, _) = loader.finish().expect("complete");
    assert_eq!(loaded.auth(), store.auth());
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["root", "ann", "bob", ""]).prop_map(String::from)
}

fn permission() -> impl Strategy<Value = Permission> {
    let access = select(vec![Access::Read, Access::Write, Access::ReadWrite]);
    (access, keys()).prop_map(|(access, keys)| Permission { access, keys })
}

fn auth_command() -> impl Strategy<Value = AuthCommand> {
    let password = || prop::option::of(Just("hash".into()));
    prop_oneof![
        1 => Just(AuthCommand::Enable),
        1 => Just(AuthCommand::Disable),
        1 => (name(), name(), 0..9u64)
            .prop_map(|(user, token, revision)| AuthCommand::Authenticate { user, token, revision }),
        2 => (name(), password()).prop_map(|(user, password)| AuthCommand::UserAdd { user, password }),
        1 => name().prop_map(|user| AuthCommand::UserDelete { user }),
        1 => (name(), password())
            .prop_map(|(user, password)| AuthCommand::UserChangePassword { user, password }),
        3 => (name(), name()).prop_map(|(user, role)| AuthCommand::UserGrantRole { user, role }),
        1 => (name(), name()).prop_map(|(user, role)| AuthCommand::UserRevokeRole { user, role }),
        2 => name().prop_map(|role| AuthCommand::RoleAdd { role }),
        1 => name().prop_map(|role| AuthCommand::RoleDelete { role }),
        3 => (name(), permission())
            .prop_map(|(role, permission)| AuthCommand::RoleGrant { role, permission }),
        1 => (name(), keys()).prop_map(|(role, keys)| AuthCommand::RoleRevoke { role, keys }),
    ]
}

/// Walks along the range from permission to permission.
fn is_covered(range: &KeyRange, permissions: &[Permission]) -> bool {
    if range.is_empty() {
        return false;
    }
    let mut at = range.start.to_vec();
    let last = match &range.end {
        RangeEnd::Single => Some([&range.start[..], &[0]].concat()),
        RangeEnd::Before(end) => Some(end.to_vec()),
        RangeEnd::Unbounded => None,
    };
    loop {
        let Some(permission) = permissions.iter().find(|p| p.keys.contains(&at)) else { return false };
        at = match &permission.keys.end {
            RangeEnd::Unbounded => return true,
            RangeEnd::Single => [&at[..], &[0]].concat(),
            RangeEnd::Before(end) => end.to_vec(),
        };
        if last.as_ref().is_some_and(|last| at >= *last) {
            return true;
        }
    }
}

proptest! {
    #[test]
    fn permissions_of_many_roles_add_up(granted in vec((any::<bool>(), permission()), 0..7), asked in keys()) {
        let mut store = guarded();
        for role in ["one", "two"] {
            add_role(&mut store, role, &[]);
        }
        for (first, permission) in granted.clone() {
            let role = if first { "one" } else { "two" }.to_string();
            change(&mut store, AuthCommand::RoleGrant { role, permission }).expect("granted");
        }
        add_user(&mut store, "eve", &["one", "two"]);
        // Granting the same range again takes the place of what was granted before.
        let last: Vec<Permission> = granted
            .iter()
            .enumerate()
            .filter(|(at, (role, p))| !granted[at + 1..].iter().any(|(r, later)| r == role && later.keys == p.keys))
            .map(|(_, (_, p))| p.clone())
            .collect();
        let of = |without| last.iter().filter(|p| p.access != without).cloned().collect::<Vec<_>>();
        let eve = caller(&store, "eve");
        let read = store.auth().check_range(Some(&eve), &asked);
        prop_assert_eq!(read.is_ok(), is_covered(&asked, &of(Access::Write)));
        let delete = Command::Delete(DeleteRange { keys: asked.clone(), prev_kv: false });
        let write = store.auth().check(Some(&eve), &delete, store.leases());
        prop_assert_eq!(write.is_ok(), is_covered(&asked, &of(Access::Read)));
    }

    #[test]
    fn a_history_of_users_survives_a_snapshot(commands in vec(auth_command(), 0..40)) {
        let mut store = Store::new();
        for command in commands {
            let before = store.auth().clone();
            if change(&mut store, command).is_err() {
                prop_assert_eq!(store.auth(), &before, "what is refused changes nothing");
            }
        }
        let file: Vec<u8> = Snapshot::of(&store, 7).frames().flatten().collect();
        let (mut frames, mut loader) = (Frames::new(&file), Loader::default());
        while let Next::Frame { kind, payload } = frames.next_frame().expect("whole") {
            loader.handle_frame(kind, payload).expect("well formed");
        }
        let (loaded, _) = loader.finish().expect("complete");
        prop_assert_eq!(loaded.auth(), store.auth());
    }

    #[test]
    fn a_change_of_users_is_the_same_after_writing_and_reading(
        command in auth_command(),
        user in name(),
        key in key(),
    ) {
        let caller = Caller { user: user.as_str().into(), revision: 300 };
        let signed = Command::As(caller, Box::new(Command::Put(Put::new(key, *b"1"))));
        for command in [Command::Auth(command), signed] {
            let bytes = command.encode();
            for cut in 0..bytes.len() {
                prop_assert!(Command::decode(&bytes[..cut]).is_err());
            }
            prop_assert_eq!(Command::decode(&bytes), Ok(command));
        }
    }
}
