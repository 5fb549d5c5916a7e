use graded::graded;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::heart::capabilities::{ALL, DEFAULT, NAMES, bits, effective, names};
use crate::heart::process::{Found, StartError, User, find_executable, resolve_user};
use crate::heart::spec::UserSpec;
use crate::strings;

/// 0xa80425fb is what `grep CapEff /proc/self/status` prints in a container everywhere.
#[graded]
fn the_default_set_is_the_one_that_other_runtimes_show_in_proc() {
    assert_eq!(effective(&[], &[], false), Ok(0xa804_25fb));
}

/// Forty-one pieces, and none of them forgotten.
#[graded]
fn all_means_every_capability_that_the_kernel_has() {
    assert_eq!(effective(&strings(&["ALL"]), &[], false), Ok(0x1ff_ffff_ffff));
    assert_eq!(effective(&[], &strings(&["ALL"]), false), Ok(0));
}

/// The careful way to write a manifest, and what the restricted policy asks for.
#[graded]
fn drop_all_and_add_one_leaves_one() {
    let set = effective(&strings(&["NET_ADMIN"]), &strings(&["ALL"]), false).unwrap();
    assert_eq!(names(set), ["NET_ADMIN"]);
}

/// ALL is the beginning of the arithmetic, not one more name in it.
#[graded]
fn add_all_and_drop_one_leaves_the_others() {
    let set = effective(&strings(&["all"]), &strings(&["CAP_SYS_ADMIN"]), false).unwrap();
    assert_eq!(set, ALL & !bits("SYS_ADMIN").unwrap());
}

/// Of two contradictory wishes the safer one wins.
#[graded]
fn a_capability_both_added_and_dropped_is_dropped() {
    let both = strings(&["SYS_TIME"]);
    assert_eq!(effective(&both, &both, false), effective(&[], &[], false));
}

/// Privileged containers are walls taken down as a whole; there is no half of it.
#[graded]
fn privileged_is_all_of_them_whatever_else_is_said() {
    assert_eq!(effective(&[], &strings(&["ALL"]), true), Ok(ALL));
}

/// A typing error in a drop list would otherwise leave a power where somebody wanted none.
#[graded]
fn an_unknown_capability_is_an_error() {
    assert!(effective(&strings(&["FLY"]), &[], false).is_err());
    assert!(effective(&[], &strings(&["FLY"]), false).is_err());
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:w:/var/www:\nodd:x:44:7::\n";
const GROUP: &str = "root:x:0:\nwww:x:33:\nadm:x:4:www,odd\nlogs:x:90:www\n";

fn user(text: &str) -> Result<User, StartError> {
    resolve_user(&UserSpec { user: text.into(), ..UserSpec::default() }, PASSWD, GROUP)
}

/// `USER www` in an image means the image's www, whatever number that is.
#[graded]
fn users_are_found_by_name_and_by_number() {
    let www = User { uid: 33, gid: 33, groups: vec![4, 90], home: "/var/www".into() };
    assert_eq!(user("www"), Ok(www.clone()));
    assert_eq!(user("33"), Ok(www));
    assert_eq!(user("").unwrap(), User { uid: 0, gid: 0, groups: vec![], home: "/root".into() });
}

/// `runAsUser: 1000` must work with every image, also those without a passwd file.
#[graded]
fn a_number_that_nobody_has_is_a_user_all_the_same() {
    assert_eq!(user("1000"), Ok(User { uid: 1000, gid: 0, groups: vec![], home: "/".into() }));
    assert_eq!(user("1000:50").unwrap().gid, 50);
}

/// `www:adm` names both; only what is not named comes from the file.
#[graded]
fn a_named_group_replaces_the_users_own() {
    assert_eq!(user("www:adm").unwrap().gid, 4);
    assert_eq!(user("odd").unwrap().gid, 7);
    assert_eq!(user("odd").unwrap().home, "/");
}

/// People search for these words.
#[graded]
fn a_name_that_nobody_has_is_an_error_in_runcs_words() {
    let error = user("ghost").unwrap_err();
    assert_eq!(error.to_string(), "unable to find user ghost: no matching entries in passwd file");
    assert_eq!(user("www:ghosts"), Err(StartError::NoGroup("ghosts".into())));
}

/// An image that adds its user to a group would otherwise give itself access to a volume (KEP-3619).
#[graded]
fn the_pods_groups_count_and_strict_leaves_the_images_out() {
    let spec =
        UserSpec { user: "www".into(), group: Some(5), supplemental: vec![9, 4, 9], strict_groups: false };
    let merged = resolve_user(&spec, PASSWD, GROUP).unwrap();
    assert_eq!((merged.gid, merged.groups), (5, vec![4, 9, 90]));
    let strict = resolve_user(&UserSpec { strict_groups: true, ..spec }, PASSWD, GROUP).unwrap();
    assert_eq!(strict.groups, [4, 9]);
}

/// An image may hold one static program and nothing else.
#[graded]
fn an_image_without_files_knows_root_by_number_alone() {
    let spec = UserSpec { user: "0".into(), ..UserSpec::default() };
    assert_eq!(resolve_user(&spec, "", "").unwrap().uid, 0);
}

/// A file system with a few files.
fn look(path: &Path) -> Found {
    match path.components().collect::<PathBuf>().to_str() {
        Some("/bin/tool" | "/job/run.sh" | "/late/both") => Found::File { executable: true },
        Some("/usr/bin/data" | "/bin/both") => Found::File { executable: false },
        Some("/bin" | "/bin/dir") => Found::Directory,
        _ => Found::Nothing,
    }
}

fn find(name: &str) -> Result<PathBuf, StartError> {
    find_executable(name, &strings(&["A=b", "PATH=/usr/bin:/bin:/late"]), Path::new("/job"), look)
}

/// As execvp(3) does: a file without the bit in an early directory hides nothing.
#[graded]
fn a_plain_name_is_searched_in_path_and_what_cannot_run_is_passed_over() {
    assert_eq!(find("tool"), Ok("/bin/tool".into()));
    assert_eq!(find("both"), Ok("/late/both".into()));
    assert_eq!(find("data"), Err(StartError::NotInPath("data".into())));
    assert_eq!(find("dir"), Err(StartError::NotInPath("dir".into())));
    assert_eq!(find("").unwrap_err().to_string(), "exec: \"\": executable file not found in $PATH");
}

/// Each of the three ways to be wrong has its own text; it is all that a person sees of a pod that
/// does not start.
#[graded]
fn a_name_with_a_slash_is_a_path() {
    assert_eq!(find("./run.sh"), Ok("/job/./run.sh".into()));
    assert_eq!(find("/bin/tool"), Ok("/bin/tool".into()));
    assert_eq!(find("/bin/both").unwrap_err().to_string(), "exec: \"/bin/both\": permission denied");
    assert_eq!(find("/bin/dir").unwrap_err().to_string(), "exec: \"/bin/dir\": is a directory");
    let missing = find("/no").unwrap_err().to_string();
    assert_eq!(missing, "exec: \"/no\": stat /no: no such file or directory");
}

/// A minimal image sets no PATH and still expects `sh` to be found.
#[graded]
fn without_a_path_the_usual_one_is_searched() {
    assert_eq!(find_executable("tool", &[], Path::new("/"), look), Ok("/bin/tool".into()));
}

proptest! {
    /// Lists of names against sets of names.
    #[graded]
    fn sets_of_bits_are_sets_of_names(
        add in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..6),
        drop in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..6),
    ) {
        let list = |names: &std::collections::BTreeSet<&str>| names.iter().map(|name| format!("CAP_{name}")).collect::<Vec<_>>();
        let set = effective(&list(&add), &list(&drop), false).unwrap();
        for name in NAMES {
            let wanted = (DEFAULT.contains(&name) || add.contains(name)) && !drop.contains(name);
            prop_assert_eq!(names(set).contains(&name), wanted, "{}", name);
        }
    }
}
