use graded::graded;
use proptest::prelude::*;

use crate::heart::image::{ImageError, RunConfig, chain_ids, command_line, digest, environment};
use crate::heart::reference::Reference;
use crate::strings;

/// The short form is what people write in manifests; the long one is what is pulled, kept and shown.
#[graded]
fn short_names_become_long_as_dockers_do() {
    for (short, long) in [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.7.9", "docker.io/library/nginx:1.7.9"),
        ("coracle/pause:1", "docker.io/coracle/pause:1"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
    ] {
        assert_eq!(Reference::parse(short).expect(short).to_string(), long);
    }
}

/// A tag may move, a digest cannot: to add `latest` to it would say two things that may differ.
#[graded]
fn a_digest_needs_no_tag() {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let found = Reference::parse(&format!("nginx@{digest}")).unwrap();
    assert_eq!((found.tag, found.digest), (None, Some(digest.clone())));
    let found = Reference::parse(&format!("nginx:1@{digest}")).unwrap();
    assert_eq!((found.tag.as_deref(), found.repository().as_str()), (Some("1"), "docker.io/library/nginx"));
}

/// A bad name is found when it is read, not as a strange answer of a registry (`InvalidImageName`).
#[graded]
fn nonsense_is_no_image() {
    for bad in ["", "UPPER", "a//b", "a:", "a:t@g", "a@sha256:12", "x:-t", "/a", "a/", "a b", "-a"] {
        assert!(Reference::parse(bad).is_err(), "{bad:?}");
    }
}

/// A diff means something only on top of what it was made from; two stacks must not share a directory
/// by accident.
#[graded]
fn a_chain_id_names_a_layer_and_all_below_it() {
    let diff = strings(&["sha256:aa", "sha256:bb", "sha256:cc"]);
    let chain = chain_ids(&diff);
    assert_eq!(chain[0], "sha256:aa");
    assert_eq!(chain[1], digest(b"sha256:aa sha256:bb"));
    assert_eq!(chain[2], digest(format!("{} sha256:cc", chain[1]).as_bytes()));
    assert_eq!(chain_ids(&diff[..2]), chain[..2], "a longer stack does not rename the lower layers");
    assert!(chain_ids(&[]).is_empty());
}

/// The image's own command makes no sense as arguments of a program that it does not know.
#[graded]
fn command_replaces_both_and_args_only_the_images_command() {
    let image = RunConfig { entrypoint: strings(&["entry"]), cmd: strings(&["cmd"]), ..RunConfig::default() };
    let line =
        |command: &[&str], args: &[&str]| command_line(&image, &strings(command), &strings(args)).unwrap();
    assert_eq!(line(&[], &[]), ["entry", "cmd"]);
    assert_eq!(line(&[], &["a"]), ["entry", "a"]);
    assert_eq!(line(&["c"], &[]), ["c"]);
    assert_eq!(line(&["c"], &["a"]), ["c", "a"]);
    assert_eq!(command_line(&RunConfig::default(), &[], &[]), Err(ImageError::NoCommand));
}

/// With a name twice, some programs read the first and some the last.
#[graded]
fn the_pods_environment_wins_and_every_name_appears_once() {
    let image = strings(&["PATH=/bin", "A=image", "B=image", "EMPTY"]);
    let pod = [("A".to_owned(), "pod".to_owned()), ("C".to_owned(), "x=y".to_owned())];
    let env = environment(&image, &pod, "web-0");
    assert_eq!(env, ["PATH=/bin", "HOSTNAME=web-0", "A=pod", "B=image", "EMPTY=", "C=x=y"]);
    assert!(environment(&[], &[], "")[0].starts_with("PATH=/usr/local/sbin:"));
}

proptest! {
    /// Names are normalised again and again on their way; that must change nothing.
    #[graded]
    fn a_long_name_is_its_own_long_name(text in "([a-z0-9.]{1,6}(:[0-9]{1,4})?/)?[a-z][a-z0-9/._-]{0,8}(:[a-zA-Z0-9._-]{1,5})?") {
        if let Ok(reference) = Reference::parse(&text) {
            let long = reference.to_string();
            prop_assert_eq!(Reference::parse(&long), Ok(reference));
        }
    }

    /// As in a shell: who sets a variable last has set it.
    #[graded]
    fn later_settings_win_like_assignments(pairs in prop::collection::vec(("[ABC]", "[xyz]"), 0..8)) {
        let env = environment(&[], &pairs, "");
        for (name, _) in &pairs {
            let last = &pairs.iter().rev().find(|(known, _)| known == name).unwrap().1;
            let found: Vec<_> = env.iter().filter(|pair| pair.starts_with(&format!("{name}="))).collect();
            let wanted = format!("{name}={last}");
            prop_assert_eq!(found, vec![&wanted]);
        }
    }
}
